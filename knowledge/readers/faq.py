"""What all FAQ lists share: which column holds what, and rows that become contents.

Knows column names in many languages. Does not know CSV, Excel, JSON or YAML: their readers
bring a header and rows.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from knowledge.errors import UnreadableFile
from knowledge.language import detect_language, normalize_language
from knowledge.readers.base import Content, RawFile, Readout, clean, heading_anchor
from knowledge.readers.html import fragment_to_markdown
from knowledge.types import Section

# Best first: a list with both `question` and `title` has its questions in the first. Compared
# without case, accents and punctuation.
_NAMES: Mapping[str, str] = {
    "question": "question, questions, question text, faq question, faq, q, frage, fragen, "
    "pregunta, preguntas, pergunta, perguntas, domanda, domande, vraag, vragen, fråga, frågor, "
    "spørgsmål, spørsmål, kysymys, pytanie, otázka, vprašanje, pitanje, питање, kérdés, "
    "întrebare, soru, вопрос, вопросы, питання, запитання, въпрос, 问题, 問題, 提问, 问, 問, 質問, "
    "질문, سؤال, السؤال, پرسش, प्रश्न, सवाल, câu hỏi, pertanyaan, soalan, คำถาม, שאלה, ερώτηση, "
    "title, titel, título, titre, titolo, 标题, 標題, タイトル, 제목, heading",
    "answer": "answer, answers, answer text, faq answer, a, antwort, antworten, respuesta, "
    "respuestas, resposta, respostas, réponse, réponses, risposta, risposte, antwoord, svar, "
    "vastaus, odpowiedź, odpověď, odpoveď, odgovor, одговор, válasz, răspuns, cevap, yanıt, "
    "ответ, ответы, відповідь, отговор, 答案, 回答, 答复, 答覆, 解答, 答, 답변, 답, جواب, الجواب, "
    "إجابة, الإجابة, پاسخ, उत्तर, जवाब, câu trả lời, trả lời, jawaban, jawapan, คำตอบ, תשובה, "
    "απάντηση, response, reply, solution, resolution, content, body, text",
    "audience": "audience, audiences, visibility, zielgruppe, audiencia, público, destinatari, "
    "doelgroep, målgrupp, аудитория, 受众, 受眾, 対象, 대상",
    "lang": "lang, language, locale, sprache, idioma, langue, lingua, taal, språk, язык, мова, "
    "语言, 語言, 言語, 언어, اللغة, भाषा",
    "url": "url, link, uri, href, enlace, lien, 链接, 連結, リンク",
    "section": "section, category, topic, group, kategorie, bereich, thema, categoría, sección, "
    "categoria, seção, sezione, catégorie, rubrique, rubrik, раздел, категория, 分类, 分類, 类别, "
    "カテゴリ, 분류, tags, tag, labels",
    "id": "id, key, slug, faq id, question id",
}
_SHOWN = {
    "question": "question, q, title, or the word in another language (Frage, pregunta, 问题 …)",
    "answer": "answer, a, response, or the word in another language (Antwort, respuesta, 答案 …)",
}
_HTML = re.compile(
    r"</(?:p|div|ul|ol|li|a|span|strong|table|b|i|em|h[1-6])>|<br\s*/?>", re.IGNORECASE
)
_ANCHOR_CHARS = 80


def _plain(name: str) -> str:
    """A column name without case, accents and punctuation."""
    letters = (
        char if unicodedata.category(char)[0] in "LMN" else " "
        for char in unicodedata.normalize("NFKD", clean(name)).casefold()
        # Accents of alphabets go; in scripts from Devanagari on, marks are part of the word.
        if not (unicodedata.combining(char) and ord(char) < 0x0900)
    )
    return " ".join("".join(letters).split())


@cache
def _ranks() -> dict[str, tuple[str, int]]:
    """Each accepted column name with what it holds and how good a name it is for that."""
    return {
        _plain(name): (role, rank)
        for role, names in _NAMES.items()
        for rank, name in enumerate(names.split(", "))
    }


def find_columns(header: Iterable[str]) -> dict[str, int]:
    """Which position holds what: `{"question": 0, "answer": 2, …}`, best names first."""
    best: dict[str, tuple[int, int]] = {}
    for position, name in enumerate(header):
        role, rank = _ranks().get(_plain(name), ("", 0))
        if role and (role not in best or rank < best[role][0]):
            best[role] = (rank, position)
    return {role: position for role, (_, position) in best.items()}


def is_header(header: Iterable[str]) -> bool:
    """True if both needed columns are among these names."""
    columns = find_columns(header)
    return "question" in columns and "answer" in columns


def missing_columns(source: str, header: Iterable[str]) -> UnreadableFile:
    """The error for a list without a question or an answer column, as a person needs it."""
    header = [" ".join(name.split())[:40] for name in header if name.strip()]
    columns = find_columns(header)
    lacking = [role for role in _SHOWN if role not in columns]
    found = ", ".join(header[:20]) + (" …" if len(header) > 20 else "") if header else "none"
    return UnreadableFile(
        f"{source} has no {' and no '.join(lacking)} column; headers found: {found}.",
        " ".join(f"Accepted for the {role}: {_SHOWN[role]}." for role in lacking),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    question: str
    answer: str
    key: str  # what the anchor is made of
    path: tuple[str, ...]
    audience: str
    lang: str
    url: str


@dataclass(slots=True)
class FaqList:
    """Rows of one file on their way to contents."""

    raw: RawFile
    notes: list[str] = field(default_factory=list)
    _entries: list[_Entry] = field(default_factory=list)
    _left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def leave_out(self, where: str, why: str) -> None:
        """Note that the row at `where` is not used."""
        self._left_out[why].append(where)

    def add(self, where: str, row: Mapping[str, str], path: tuple[str, ...] = ()) -> None:
        """Take in one row. `row` is by role; `where` names it to a person; blank rows go."""
        question = " ".join(clean(row.get("question", "")).split())
        answer = _body(row.get("answer", ""))
        if not question or not answer:
            if question or answer:
                self.leave_out(where, f"without {'an answer' if question else 'a question'}")
            return
        section = " ".join(clean(row.get("section", "")).split())
        language = row.get("lang", "").strip()
        if language and not normalize_language(language):
            self.notes.append(
                f"{where}: the language {language[:40]!r} is not a code such as en or pt-BR; "
                "it was detected instead."
            )
            language = ""
        key = clean(row.get("id", "")).strip()
        self._entries.append(
            _Entry(
                question=question,
                answer=answer,
                key=re.sub(r"[^\w.-]+", "-", key).strip("-") or heading_anchor(question),
                path=(*path, section) if section else path,
                audience=row.get("audience", "").strip(),
                lang=normalize_language(language),
                url=row.get("url", "").strip(),
            )
        )

    def finish(self, title: str = "") -> Readout:
        """Everything that was taken in, one content per audience, language and address."""
        title = title or self.raw.name
        anchors = self._anchors()
        languages = [
            entry.lang or detect_language(f"{entry.question}\n{entry.answer}", "")
            for entry in self._entries
        ]
        usual = _most_common(filter(None, languages))
        groups: dict[tuple[str, str, str], list[Section]] = defaultdict(list)
        for entry, anchor, lang in zip(self._entries, anchors, languages, strict=True):
            section = Section(entry.answer, (title, *entry.path), anchor, entry.question)
            groups[entry.audience, lang or usual, entry.url].append(section)
        notes = [*self.notes]
        for why, rows in self._left_out.items():
            more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
            notes.append(f"Left out, {why}: {', '.join(rows[:10])}{more}.")
        return Readout(
            tuple(
                Content(title, tuple(sections), audience, lang, url)
                for (audience, lang, url), sections in groups.items()
            ),
            tuple(notes),
        )

    def _anchors(self) -> list[str]:
        """One anchor per entry, the same whatever the order of the rows.

        Different entries that would share one get the hash of their content behind it.
        """
        short = [_shorten(entry.key) for entry in self._entries]
        hashes = [
            hashlib.sha256(f"{entry.question}\x1f{entry.answer}".encode()).hexdigest()[:8]
            for entry in self._entries
        ]
        sharing: dict[str, set[str]] = defaultdict(set)
        for anchor, digest in zip(short, hashes, strict=True):
            sharing[anchor].add(digest)
        return [
            anchor if anchor and len(sharing[anchor]) == 1 else f"{anchor}-{digest}".strip("-")
            for anchor, digest in zip(short, hashes, strict=True)
        ]


def _most_common(languages: Iterable[str]) -> str:
    """The language of most entries, for those too short to tell; of equals, English."""
    counts = Counter(languages)
    return max(counts, key=lambda lang: (counts[lang], lang == "en", lang), default="en")


def _shorten(anchor: str) -> str:
    if len(anchor) <= _ANCHOR_CHARS:
        return anchor
    return anchor[:_ANCHOR_CHARS].rsplit("-", 1)[0]


def _body(answer: str) -> str:
    """The answer as Markdown: helpdesk exports hold HTML, with whatever it hides."""
    if _HTML.search(answer) and "`" not in answer:
        return fragment_to_markdown(answer)
    return clean(answer).strip()
