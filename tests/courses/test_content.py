"""The course we ship reads; a course with faults is refused, with every fault and its line."""

from collections import Counter
from pathlib import Path

import pytest

from specchem import i18n
from specchem.courses.content import ContentError, Course, content_hash, read_course

OURS = Path(__file__).parents[2] / "courses" / "function-specific-hazmat"

COURSE = """\
slug: drums
title: Drums
version: "1.0"
language: en
published: true
sections:
  - welcome
  - filling
"""
WELCOME = "# Welcome\n\nGlad you are here.\n"
FILLING = "# Filling\n\nLeave room.\n\n## Why\n\n- it **grows**\n"
QUESTIONS = """\
questions:
  - key: room
    prompt: Why leave room?
    choices:
      - key: a
        text: It looks nice
      - key: b
        text: Liquid grows when warm
    correct: [b]
    explanation: Warm liquid needs more room.
    citation: 49 CFR 173.24a(d)
  - key: closing
    prompt: What closes a drum well?
    multiple: true
    choices:
      - key: a
        text: The right gasket
      - key: b
        text: The right torque
      - key: c
        text: Good luck
    correct: [a, b]
    explanation: The maker says how.
    citation: 49 CFR 178.2(c)
"""


@pytest.fixture
def drums(tmp_path: Path) -> Path:
    folder = tmp_path / "drums"
    folder.mkdir()
    for name, text in {
        "course.yaml": COURSE,
        "welcome.md": WELCOME,
        "filling.md": FILLING,
        "filling.yaml": QUESTIONS,
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def ours() -> Course:
    return read_course(OURS)


def problems(folder: Path) -> list[str]:
    """What is wrong, with paths as an author in that folder would see them."""
    with pytest.raises(ContentError) as refused:
        read_course(folder)
    assert str(refused.value).count("\n") == len(refused.value.problems) - 1
    return [line.removeprefix(f"{folder.as_posix()}/") for line in str(refused.value).splitlines()]


# ------------------------------------------------------------------ the course we ship


def test_our_course_is_whole(ours: Course) -> None:
    questions = [q for s in ours.sections for q in s.questions]
    assert (ours.slug, ours.title, ours.version) == (OURS.name, "Function-Specific HazMat Training", "1.0")
    assert len(ours.sections) >= 10
    assert len(questions) >= 44
    assert [s.key for s in ours.sections if not s.questions] == ["welcome"]
    assert all(q.explanation and "CFR" in q.citation for q in questions)
    assert all(3 <= len(q.choices) <= 5 for q in questions)
    assert max(Counter(s.key for s in ours.sections).values()) == 1
    assert max(Counter(q.key for q in questions).values()) == 1


def test_sections_of_our_course_are_short_reads_with_citations(ours: Course) -> None:
    for section in ours.sections:
        assert 200 <= len(section.body.split()) <= 450, section.key
        assert "49 CFR" in section.body, section.key


def test_guessing_by_position_or_length_does_not_pay(ours: Course) -> None:
    single = [q for s in ours.sections for q in s.questions if not q.multiple]
    by_key = Counter(q.correct[0] for q in single)
    longest = [max(q.choices, key=lambda c: len(c.text)).key == q.correct[0] for q in single]
    assert max(by_key.values()) <= 0.35 * len(single)
    assert sum(longest) <= 0.35 * len(single)
    many = sum(len(s.questions) for s in ours.sections) - len(single)
    assert 0.2 <= many / (many + len(single)) <= 0.35


# ------------------------------------------------------------------ reading


def test_a_course_reads_as_written(drums: Path) -> None:
    course = read_course(drums)
    assert [(s.key, s.title, len(s.questions)) for s in course.sections] == [
        ("welcome", "Welcome", 0),
        ("filling", "Filling", 2),
    ]
    assert course.sections[1].body == "Leave room.\n\n## Why\n\n- it **grows**"
    room, closing = course.sections[1].questions
    assert (room.multiple, room.correct, room.choices[1].text) == (False, ("b",), "Liquid grows when warm")
    assert (closing.multiple, closing.correct) == (True, ("a", "b"))


def test_the_hash_follows_what_is_taught_and_nothing_else(drums: Path) -> None:
    before = content_hash(read_course(drums))
    (drums / "course.yaml").write_text(COURSE.replace("published: true", "published: false # not yet"))
    (drums / "filling.md").write_bytes(FILLING.replace("\n", "\r\n").encode())
    assert content_hash(read_course(drums)) == before
    (drums / "filling.yaml").write_text(QUESTIONS.replace("correct: [b]", "correct: [a]"))
    assert content_hash(read_course(drums)) != before


# ------------------------------------------------------------------ refusing

ABOUT, PAGE, QUIZ = "course.yaml", "filling.md", "filling.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        # course.yaml
        (ABOUT, "slug: drums", "slug: barrels", '1: slug "barrels" is not the name of the folder'),
        (ABOUT, 'version: "1.0"', "version: 1.0", '3: version must be a string: put quotes around "1.0"'),
        (ABOUT, "published: true", "published: yes", "5: published must be true or false"),
        (ABOUT, "published: true", 'published: "true"', "5: published must be true or false"),
        (ABOUT, "title: Drums", "title: yes", '2: title must be a string: put quotes around "yes"'),
        (ABOUT, "title: Drums", "title:", "2: title must be a string"),
        (ABOUT, "title: Drums", 'title: "Drums "', "2: title must not be blank, nor begin or end"),
        (ABOUT, "title: Drums", f"title: {'x' * 201}", "2: title is longer than 200 characters"),
        (ABOUT, "title: Drums", "title: Drums\ntitle: Kegs", '3: "title" is there twice'),
        (ABOUT, "title: Drums", "tittle: Drums", "2: tittle is not a field we know"),
        (ABOUT, "language: en\n", "", "1: language is missing"),
        (ABOUT, "language: en", "language: English please", "4: language must be a language code"),
        (ABOUT, "  - filling", "  - filling\n  - welcome", '9: "welcome" is there twice'),
        (ABOUT, "  - filling", "  - filling\n  - Closing_Up", "9: sections must be words of a-z"),
        (ABOUT, "  - filling", "  - filling\n  - ../welcome", "9: sections must be words of a-z"),
        (ABOUT, "  - filling", "  - filling\n  - closing", '9: section "closing" has no closing.md'),
        (ABOUT, COURSE, "", "1: is empty"),
        (ABOUT, COURSE, "- drums\n", "1: the file must be a group of fields"),
        (ABOUT, "sections:\n  - welcome\n  - filling", "sections: 2", "6: sections must be a list"),
        # YAML itself
        (QUIZ, "    correct: [b]", "   correct: [b]", "9: YAML: "),
        (QUIZ, "questions:\n", "questions:\n\t- x\n", "2: YAML: "),
        (QUIZ, "correct: [b]", "correct: &x [b]", "9: YAML: & and * references are not allowed"),
        (QUIZ, "correct: [b]", "correct: *x", "9: YAML: & and * references are not allowed"),
        (QUIZ, "correct: [b]", "correct: !!python/name:os.system ''", "9: YAML: the tag tag:yaml.org"),
        (QUIZ, "Why leave room?", "!why room", "3: YAML: the tag !why cannot be used"),
        (QUIZ, "correct: [b]", '"\\UFFFFFFFF": b', "1: YAML: "),
        (QUIZ, QUESTIONS, "[" * 5000, "1: YAML: "),
        (QUIZ, QUESTIONS, "questions: []", "1: questions must not be an empty list"),
        (QUIZ, "correct: [b]", "? [x]\n    : b", "9: the name of a field must be a string"),
        # questions
        (QUIZ, "key: room", "key: map", '2: question "map" has a key that the pages use themselves'),
        (QUIZ, "correct: [b]", "correct: []", '2: question "room" has no right answer'),
        (QUIZ, "correct: [b]", "correct: [z]", '2: question "room" has right answer "z", which is not one'),
        (QUIZ, "correct: [b]", "correct: b", '9: question "room": correct must be a list'),
        (QUIZ, "correct: [b]", "correct: 2", '9: question "room": correct must be a list'),
        (QUIZ, "correct: [b]", "correct: [b, b]", '9: "b" is there twice'),
        (QUIZ, "correct: [b]", "correct: [a, b]", '2: question "room" has 2 right answers; say'),
        (QUIZ, "correct: [a, b]", "correct: [a]", '12: question "closing" is multiple-choice and'),
        (QUIZ, "correct: [a, b]", "correct: [a, b, c]", '12: question "closing" has no wrong'),
        (QUIZ, "      - key: a\n        text: It looks nice\n", "", '2: question "room" has fewer than 2'),
        (QUIZ, "key: closing", "key: room", '12: "room" is there twice'),
        (QUIZ, "key: closing", "key: Closing Time", "12: question \"Closing Time\": key must be"),
        (QUIZ, "key: closing", f"key: {'k' * 101}", f'12: question "{"k" * 101}": key is longer than 100'),
        (QUIZ, "  - key: closing\n", "  -\n", "13: question 2: key is missing"),
        (QUIZ, "      - key: c", "      - key: b", '20: "b" is there twice'),
        (QUIZ, "Good luck", "25", '21: question "closing": text must be a string: put quotes'),
        (QUIZ, "Good luck", '" "', '21: question "closing": text must not be blank'),
        (QUIZ, "Why leave room?", "x" * 1001, '3: question "room": prompt is longer than 1000'),
        (QUIZ, "The maker says how.", "x" * 2001, '23: question "closing": explanation is longer than 2000'),
        (QUIZ, "    explanation: The maker says how.\n", "", '12: question "closing": explanation is'),
        (QUIZ, "    citation: 49 CFR 178.2(c)\n", "", '12: question "closing": citation is missing'),
        (QUIZ, "49 CFR 178.2(c)", "x" * 201, '24: question "closing": citation is longer than 200'),
        (QUIZ, "    multiple: true", "    multiple: 1", '14: question "closing": multiple must be'),
        (QUIZ, "    multiple: true", "    hint: none", '14: question "closing": hint is not a field'),
        (QUIZ, "Good luck", "|\n          Good\n          luck", "21: must not hold a line break"),
        (QUIZ, "Good luck", '"\\u202eGood"', "21: must not hold the hidden character U+202E"),
        (QUIZ, "Good luck", "Good\u202eluck", "21: must not hold the hidden character U+202E"),
        (QUIZ, "Good luck", '"\\ud800"', "21: must not hold the hidden character U+D800"),
        # Markdown
        (PAGE, "# Filling\n", "", '1: the first line must be the title: "# Title"'),
        (PAGE, "# Filling", "## Filling", '1: the first line must be the title: "# Title"'),
        (PAGE, "# Filling", "# Filling ", "1: title must not be blank, nor begin or end"),
        (PAGE, FILLING, "# Filling\n", "2: body must not be blank"),
        (PAGE, "Leave room.", "x" * 100_001, "2: body is longer than 100000 characters"),
        (PAGE, "## Why", "# Why", "5: a heading within a section must be ##"),
        (PAGE, "Leave room.", "Leave\nroom <b>now</b>.", "4: raw HTML is not allowed"),
        (PAGE, "Leave room.", "<script>\nx\n</script>", "3: raw HTML is not allowed"),
        (PAGE, "it **grows**", "it ![grows](x.png)", "7: an image is not allowed"),
        (PAGE, "it **grows**", "[it](https://example.org)", "7: a link is not allowed"),
        (PAGE, "Leave room.", "    code", "3: code block is not allowed"),
        (PAGE, "Leave room.", "Leave\x1b[2Jroom.", "3: must not hold the hidden character U+001B"),
        (PAGE, "Leave room.", "Leave &#x202e;room.", "3: must not hold the hidden character U+202E"),
    ],
)  # fmt: skip
def test_one_fault_is_told_with_its_line(drums: Path, file: str, old: str, new: str, told: str) -> None:
    text = (drums / file).read_text()
    assert old in text
    (drums / file).write_text(text.replace(old, new, 1))
    found = problems(drums)
    assert any(problem.startswith(f"{file}:{told}") for problem in found), found
    i18n.speak("es")
    try:
        for problem in found:
            sentence = problem.split(":", 2)[2].strip()
            assert i18n.told(sentence) != sentence or sentence.startswith("YAML: ")
    finally:
        i18n.speak("en")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('question "room" has right answer "z", which is not one of its choices',
         'la pregunta "room" tiene la respuesta correcta "z", que no es una de sus opciones'),
        ('question "room" has 2 right answers; say multiple: true, or keep one',
         'la pregunta "room" tiene 2 respuestas correctas; escriba multiple: true, o deje una'),
        ('question "closing": text must be a string: put quotes around "25"',
         'pregunta "closing": text debe ser un texto: ponga comillas a "25"'),
        ("question 2: key is missing", "pregunta 2: falta key"),
        ("question 2 must be a group of fields", "la pregunta 2 debe ser un grupo de campos"),
        ("the file must be a group of fields", "el archivo debe ser un grupo de campos"),
        ("title is longer than 200 characters", "title tiene más de 200 caracteres"),
        ("must not hold the hidden character U+202E", "no debe contener el carácter oculto U+202E"),
        ("raw HTML is not allowed", "no se permite: HTML"),
        ("YAML: the tag !why cannot be used", "YAML: no se puede usar la etiqueta !why"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_spanish(said: str, told: str) -> None:
    i18n.speak("es")
    try:
        assert i18n.told(said) == told
    finally:
        i18n.speak("en")


def test_a_fault_is_told_once(drums: Path) -> None:
    (drums / "filling.yaml").write_text(QUESTIONS.replace("correct: [b]", "correct: []"))
    assert problems(drums) == ['filling.yaml:2: question "room" has no right answer']


def test_no_section_stands_at_the_last_pages_address(drums: Path) -> None:
    course = drums / "course.yaml"
    course.write_text(course.read_text().replace("filling", "done"))
    for end in (".md", ".yaml"):
        (drums / f"filling{end}").rename(drums / f"done{end}")
    assert any('section "done" would stand at' in problem for problem in problems(drums))


def test_files_that_are_missing_unlisted_or_not_utf8(drums: Path) -> None:
    (drums / "notes.md").write_text("# Notes\n")
    (drums / "welcome.yml").write_text("questions: []\n")
    (drums / "filling.md").write_bytes(b"# Filling\n\nLeave \xff room.\n")
    (drums / "welcome.md").unlink()
    assert problems(drums) == [
        'course.yaml:7: section "welcome" has no welcome.md',
        "filling.md:3: is not UTF-8",
        "notes.md:1: belongs to no section that course.yaml lists",
        "welcome.yml:1: belongs to no section that course.yaml lists",
    ]


def test_a_folder_without_a_course_says_so(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == ["course.yaml:1: cannot be read: No such file or directory"]


def test_all_faults_of_all_files_are_told_at_once(drums: Path) -> None:
    (drums / "course.yaml").write_text(COURSE.replace('"1.0"', "1.0").replace("title: Drums\n", ""))
    (drums / "welcome.md").write_text("Welcome\n")
    (drums / "filling.md").write_text(FILLING + "\n<b>now</b>\n")
    (drums / "filling.yaml").write_text(
        QUESTIONS.replace("correct: [b]", "correct: []").replace("citation: 49 CFR 178.2(c)", "cite: 178.2")
    )
    assert problems(drums) == [
        "course.yaml:1: title is missing",
        'course.yaml:2: version must be a string: put quotes around "1.0"',
        "filling.md:9: raw HTML is not allowed",
        "filling.md:9: raw HTML is not allowed",
        'filling.yaml:2: question "room" has no right answer',
        'filling.yaml:12: question "closing": citation is missing',
        'filling.yaml:24: question "closing": cite is not a field we know',
        'welcome.md:1: the first line must be the title: "# Title"',
    ]
