"""What every handler at a door may ask for by name: `me: Me, page: Listed`."""

from typing import TypeAlias

from litestar.di import NamedDependency

from specchem.db.session import Asker, Pool
from specchem.vocabulary import Page

Pooled: TypeAlias = NamedDependency[Pool]
Me: TypeAlias = NamedDependency[Asker]
Listed: TypeAlias = NamedDependency[Page]
