"""What every handler at a door may ask for by name: `pool: Pooled, me: Me, page: Listed`."""

from typing import TypeAlias

from litestar.di import NamedDependency

from specchem.db.session import Identity, Pool
from specchem.vocabulary import Page

Pooled: TypeAlias = NamedDependency[Pool]
Me: TypeAlias = NamedDependency[Identity]
Listed: TypeAlias = NamedDependency[Page]
