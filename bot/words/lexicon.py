"""Words: how a text is cut into them, which carry content, which are forms of one another.

Knows function words and endings of the languages Deskhand speaks itself; other languages fall
back to the plain word. Text without spaces (Chinese, Japanese) is cut into pairs of characters.
Knows nothing about questions, passages or models.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from knowledge.language import detect_language

_STOP = {
    "en": """a about actually after all also am an and any anybody anyone are as at be because
        been before being but by can cannot can't could did didn't do does doesn't doing don't
        down for from get gets getting give go going got had has have having he hello help her
        here hi him his how how's i i'd i'll i'm i've if in into is isn't it it's its just know
        let like long many may me might mine more most much must my need no not now of off ok
        okay on once one only or other our ours out over own please possible should so some
        someone something such take takes tell than thank thanks that that's the their theirs
        them then there these they thing things this those to too until up us very want wanna
        was way we well were what what's when where whether which while who whom whose why will
        wish with without won't would you your yours yourself""",
    "es": """a al algo alguien algún alguna antes aquí así aún bien buen buenos buenas cada como
        cómo con cual cuál cuáles cuando cuándo cuanto cuánto cuánta cuántos cuántas de del
        desde donde dónde dos el él ella ellos en entonces entre era es esa ese eso esta está
        están estas este esto estoy favor fue ha hace hacer hago hay he hola la las le les lo
        los más me mi mis mucho muy nada ni no nos nosotros o otra otro para pero poder podría
        por porque puede pueden puedo que qué quién quiero quisiera saber se sea según ser si
        sí sin sobre solo son soy su sus también te tengo tener tiene tienen todo todos tu tú
        un una uno unos usted ustedes va y ya yo gracias necesito""",
    "de": """aber alle als also am an auch auf aus bei beim bin bis bitte da damit dann das dass
        dein deine dem den denn der des dich die dies diese dieser dieses dir doch dort du durch
        ein eine einem einen einer eines er es etwas euch euer für gerne gibt geht habe haben
        habt hallo hat hier ich ihr ihre im in ins ist ja jede jeder jetzt kann kannst können
        könnte könnten lange man mehr mein meine meinem meinen meiner mich mir mit möchte muss
        müssen nach nicht noch nun nur ob oder ohne schon sehr sein seine sich sie sind so soll
        über um und uns unser unsere viel viele vom von vor wann war warum was weil welche
        welcher welches wem wen wenn wer werde werden wie wieviel will wir wird wo woher wohin
        wollen wurde zu zum zur danke brauche""",
    "ru": """а без бы был была было быть в вам вас ваш ваша ваши весь во вот все всё всего вы где
        да даже для до его ее её если есть еще ещё же за здесь здравствуйте и из или им их к как
        какая какие какой какую когда кого который кто ли лишь мне можно могу может мой моя мои
        моего мы на над надо нам нас наш не него нее нет ни нибудь но ну о об он она они оно от
        очень по под пожалуйста после почему при про привет с сам свой себя сколько со спасибо
        так также такой там тебя тем то тогда того тоже только том тот ты у уже хочу хотел
        чего чем через что чтобы чья эта эти это этот я нужно""",
    "fr": """à ai au aux avec avez avons bonjour ce ces cet cette comment combien dans de des du
        elle elles en est et eu il ils je la le les leur lui ma mais me merci mes moi mon ne nos
        notre nous on ou où par pas peut peux plus pour pourquoi puis quand que quel quelle
        quels quelles qui quoi sa sans se ses si son sont sur ta te tes toi ton tu un une vos
        votre vous y""",
    "it": """ai al alla anche che chi ci come con cosa cui da dal dei del della di dove e è gli ho
        i il in io la le lo ma mi mio non nel o per perché più posso quale quando quanto se
        senza si sono su sul un una""",
    "pt": """a ao aos as até com como da das de do dos e é ela ele em essa esse esta está este eu
        isso mais mas me meu minha na não nas no nos o os ou para pela pelo por posso qual
        quando quanto que quem se sem ser seu sua são também tem um uma você""",
}
STOP_WORDS = {lang: frozenset(words.split()) for lang, words in _STOP.items()}
_ALL_STOP = frozenset().union(
    STOP_WORDS["en"], STOP_WORDS["es"], STOP_WORDS["de"], STOP_WORDS["ru"]
)

# Function characters and words of Chinese questions; cut out before pairing characters.
_CJK_STOP = re.compile(
    "请问|一下|怎么样|怎么|怎样|如何|什么|为什么|多少|哪些|哪里|哪个|哪儿|是否|可以|能不能|可不可以"
    "|有没有|是不是|我们|你们|他们|您们|我想|想要|需要|告诉|知道|谢谢|你好|您好|多久|多长时间|几个?"
    "|[的了吗呢吧啊呀么是在有和与及或我你您他她它这那就都也还不没能会要想请被把对从到给让用]"
)
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:['’][^\W\d_]+)?")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")
_DASHES = str.maketrans({"‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-", "’": "'"})


def words_of(text: str) -> tuple[str, ...]:
    """A list of words written as one string with spaces between them."""
    return tuple(text.split())


def fold(text: str) -> str:
    """Lower case, full-width forms made plain, dashes and apostrophes made one kind."""
    return unicodedata.normalize("NFKC", text).translate(_DASHES).casefold()


def is_unspaced(text: str) -> bool:
    """True if the text holds Chinese or Japanese characters."""
    return _UNSPACED_RUN.search(text) is not None


def tokens(text: str) -> list[str]:
    """Folded words in order; a run of unspaced text becomes its pairs of characters."""
    found: list[str] = []
    for token in _TOKEN.findall(fold(text)):
        if _UNSPACED_RUN.match(token):
            found.extend(_pairs(token))
        else:
            found.append(token)
    return found


def content(text: str) -> list[str]:
    """The words that carry meaning, in order, each brought to its stem.

    Function words of every language Deskhand speaks are left out, since people mix them.
    """
    found: list[str] = []
    for token in _TOKEN.findall(fold(text)):
        if _UNSPACED_RUN.match(token):
            for piece in _CJK_STOP.split(token):
                found.extend(_pairs(piece))
        elif token not in _ALL_STOP and (len(token) > 1 or token.isdigit()):
            found.append(stem(token))
    return found


def _pairs(text: str) -> Iterable[str]:
    if len(text) < 2:
        return [text] if text else []
    return [text[i : i + 2] for i in range(len(text) - 1)]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A crude stem: enough to match "refunds", "refunded" and "refund".

    Only endings that are safe over several languages are cut, and never below four letters.
    Cyrillic loses its case ending. Not a linguistic root, and never shown to anybody.
    """
    word = word.removesuffix("'s")
    if not word.isalpha() or len(word) < 4:
        return word
    if "а" <= word[0] <= "я":
        return _cut(word, _RU_ENDINGS, keep=4)
    if word.isascii():
        return _stem_latin(word)
    return _cut(word, ("es", "en", "er", "s", "e", "n"), keep=4)


_RU_ENDINGS = words_of(
    """иями ями ами ией иях ого его ому ему ыми ими ать ять ить еть ует ают яют ешь ете
    ите ие ые ой ей ом ем ам ям ах ях ую юю ая яя ов ев ий ый ою ею ть ся ет ит ут ют
    ат ят а я о е и ы у ю ь й"""
)
_EN_ENDINGS = words_of(
    """ations ation ments ment ingly edly ings ing ies ied ers er ed es ly s e y n al"""
)


def _cut(word: str, endings: Iterable[str], keep: int) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= keep:
            return word[: -len(ending)]
    return word


def _stem_latin(word: str) -> str:
    if word.endswith(("ss", "us", "is")):
        return word
    stemmed = _cut(word, _EN_ENDINGS, keep=4 if len(word) > 5 else 3)
    # "cancelled" and "canceling", "shipping" and "ship" meet here.
    if len(stemmed) > 3 and stemmed[-1] == stemmed[-2] and stemmed[-1] not in "aeiou":
        return stemmed[:-1]
    return stemmed


def language(text: str, default: str = "en") -> str:
    """The language a short message is written in, as ISO 639-1.

    Function words decide where they speak clearly, since a statistical guess on three words is
    worth little; otherwise the script and the letters do; otherwise `default`.
    """
    found = _TOKEN.findall(fold(text))
    if not any(_UNSPACED_RUN.match(token) for token in found):
        votes = {
            lang: sum(_weight(token, lang) for token in found if token in words)
            for lang, words in STOP_WORDS.items()
        }
        best, second = sorted(votes.values(), reverse=True)[:2]
        if best >= 1 and best >= second * 1.5:
            return max(votes, key=lambda lang: votes[lang])
    return detect_language(text, default)


@lru_cache(maxsize=10_000)
def _weight(token: str, lang: str) -> float:
    """A function word speaks for its language, less so if other languages share it."""
    shared = sum(token in words for words in STOP_WORDS.values())
    return (1.0 if len(token) > 1 else 0.5) / shared if token in STOP_WORDS[lang] else 0.0
