"""Recognises messages that need no knowledge: greetings, thanks, "are you a bot", "a human please".

Only when the message is nothing but that: "hi, how do I reset my password" is a question, and
comes back without its greeting. Knows wordings in the languages Deskhand speaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.words.phrases import SPOKEN


class Talk(StrEnum):
    """What a message is when it asks nothing of the knowledge."""

    GREETING = "greeting"
    HOW_ARE_YOU = "how_are_you"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    ACKNOWLEDGED = "acknowledged"
    CAPABILITY = "capability"
    IS_BOT = "is_bot"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Peeled:
    """A message without its pleasantries. `talk` is set if that is all it was."""

    rest: str
    talk: Talk | None
    lang: str  # of the recognised small talk; empty if there was none


# Each language: what may stand at the start or the end of a message without asking anything.
_GREETING = {
    "en": r"hi+|hey+|hello+|hullo|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)"
    r"|dear (?:all|team|support|sir(?: or madam)?|madam)|yo",
    "zh": r"您好|你好|嗨|哈喽|哈罗|大家好|早上好|上午好|中午好|下午好|晚上好|早安|晚安|在吗|在么",
    "es": r"¡?hola|buenos d[ií]as|buenas(?: tardes| noches)?|saludos|qu[eé] tal|estimados señores",
    "de": r"hallo|moin(?: moin)?|servus|grüß gott|gr[uü]ezi|guten (?:tag|morgen|abend)"
    r"|sehr geehrte damen und herren",
    "ru": r"привет(?:ствую)?|здравствуй(?:те)?|добрый (?:день|вечер)|доброе утро|доброго дня|хай",
}
_THANKS = {
    "en": r"(?:many )?thanks(?: a (?:lot|bunch|million)| so much| very much| in advance| again)?"
    r"|thank you(?: (?:so|very) much| kindly| in advance| again)?|thx|ty|tysm|cheers"
    r"|much appreciated|i appreciate (?:it|that|your help)",
    "zh": r"(?:非常|十分|太)?(?:谢谢|感谢)(?:您|你|了|啦|帮助|您的帮助|你的帮助)*|多谢|辛苦了?",
    "es": r"(?:muchas |mil )?gracias(?: de antemano| por (?:la|su|tu) ayuda)?",
    "de": r"(?:vielen |besten |herzlichen |tausend )?dank(?:e)?(?: schön| dir| ihnen| sehr"
    r"| im voraus)?|dankeschön|merci",
    "ru": r"(?:большое |огромное )?спасибо(?: большое| вам| тебе| огромное| за помощь| заранее)?"
    r"|благодарю(?: вас)?|спс",
}
_GOODBYE = {
    "en": r"(?:good ?)?bye(?:[ -]?bye)?|see (?:you|ya)(?: later| soon)?|farewell|cya"
    r"|have a (?:nice|good|great|lovely) (?:day|one|evening|weekend)|that'?s (?:all"
    r"|it)(?: for now)?"
    r"|(?:best|kind|warm)? ?regards|that will be all",
    "zh": r"再见|拜拜|回头见|下次见|没有了|没事了",
    "es": r"adi[oó]s|hasta (?:luego|pronto|mañana|la vista)|chao|eso es todo|nada más"
    r"|(?:un )?saludos?(?: cordiales)?|que tenga(?:s)? (?:un )?buen día",
    "de": r"tschüs+|auf wiedersehen|bis (?:bald|dann|später)|ciao|das war'?s|das wäre alles"
    r"|(?:mit )?(?:freundlichen|besten|viele|liebe) grüßen?|schönen tag(?: noch)?",
    "ru": r"до свидания|пока(?:-пока)?|до встречи|всего доброго|это всё|это все|хорошего дня"
    r"|с уважением",
}
_ACKNOWLEDGED = {
    "en": r"ok(?:ay|ey)?|k|great|perfect|awesome|cool|nice|got it|understood|i see|alright"
    r"|all right"
    r"|good|excellent|wonderful|super|fine|sounds good|that (?:helps|helped|works|worked)"
    r"|very helpful|makes sense|wow|yes|yep|yeah|no|nope|sure|no problem|never ?mind"
    r"|it works(?: now)?",
    "zh": r"好的?|好吧|行|可以|明白了?|了解了?|知道了|嗯+|是的?|对|不用了|没问题|太好了|收到"
    r"|不是|没有",
    "es": r"vale|ok|perfecto|genial|entendido|de acuerdo|muy bien|bien|estupendo|s[ií]|no|claro",
    "de": r"ok(?:ay)?|super|perfekt|prima|verstanden|alles klar|gut|sehr gut|toll|passt|klar|ja"
    r"|nein|genau",
    "ru": r"ок(?:ей)?|хорошо|отлично|понятно|понял[аи]?|ясно|супер|ладно|прекрасно|да|нет"
    r"|замечательно",
}
_FILLER = {
    "en": r"there|all|everyone|everybody|team|folks|guys|bot|sir|madam|again|please|pls|well|so"
    r"|then"
    r"|friend|assistant|deskhand|support|and|very|really|oh|um+|hmm+|ah|just",
    "zh": r"请问|请|麻烦(?:您|你)?|客服|打扰(?:一下|了)?|想问(?:一下|下)?|我想问(?:一下|下)?|啊"
    r"|呀|哦|哈|啦|了|呢",
    "es": r"por favor|a todos|equipo|bot|amigos?|muy|pues|y|de nuevo",
    "de": r"bitte|zusammen|liebes team|team|bot|an alle|und|nochmals?|sehr|mal|also",
    "ru": r"пожалуйста|всем|бот|коллеги|и|очень|вам|ну",
}
# These may open a question without being part of it, but are no small talk on their own: the
# first kind only before a pause, the second running into the question.
_PAUSED = (
    r"i (?:just )?(?:have|had|'ve got) (?:a|one|another|a quick|two|some) (?:quick )?questions?"
    r"|(?:just )?(?:a )?quick question|can (?:i|you) (?:ask|answer)(?: you)? (?:something"
    r"|a question)"
    r"|(?:can|could|would) you (?:please )?help(?: me)?(?: out)?|i need (?:some |your )?help"
    r"|please help(?: me)?|tengo una (?:pregunta|duda|consulta)|¿?me puede(?:s)? ayudar"
    r"|ich habe (?:mal )?eine frage|(?:eine )?frage|(?:kannst du|können sie) mir(?: bitte)? helfen"
    r"|у меня (?:есть )?вопрос|помогите|можете (?:мне )?помочь"
    r"|我有(?:一)?个问题|帮我看看|能帮我(?:一下)?吗|可以帮我(?:一下)?吗"
)
_RUNNING = (
    r"(?:could|can) you (?:please )?tell me|(?:please )?tell me|i(?:'d| would) like to know"
    r"|i want(?:ed)? to know|i(?:'m| am) wondering|i was wondering|do you know|any idea"
    r"|me puede(?:s)? decir|quería saber|quisiera saber|(?:kannst du"
    r"|können sie) mir(?: bitte)? sagen"
    r"|ich (?:möchte|wollte|würde gerne) wissen|подскажите|скажите|帮我查一下"
)

_CAPABILITY = (
    (
        r"(?:so )?what (?:can|do|could) you (?:do|know|help(?: me)?(?: with)?|answer"
        r"|offer)(?: for me)?"
        r"|what (?:can|could|should) i (?:ask|do here|ask you)(?: you)?(?: about)?|how (?:can"
        r"|do) you help(?: me)?"
        r"|how do(?:es)? (?:you|this(?: bot| chat)?) work|what are you(?: for)?|who are you"
        r"|help(?: me)?|menu"
        r"|what(?:'s| is) (?:this|your purpose|your job)|what do you know(?: about)?"
        r"|can you help(?: me)?"
        r"|what (?:kind|sort) of questions can (?:i ask|you answer)(?: you)?|i need (?:some )?help"
    ),
    (
        r"你(?:能|可以|会)(?:做|干|帮我做|回答)?(?:些)?(?:什么|啥|哪些问题)|你有什么(?:功能|用)"
        r"|你是谁|帮助|怎么用你?"
        r"|您(?:能|可以)(?:做|帮我做|回答)?(?:些)?什么|您是谁|我(?:能|可以)问(?:你|您)?(?:些)?什么"
    ),
    (
        r"¿?qu[eé] (?:puedes|puede|sabes|sabe)(?: usted)? hacer(?: por m[ií])?|¿?qui[eé]n (?:eres"
        r"|es usted)|ayuda"
        r"|¿?en qu[eé] (?:me )?puede(?:s)? ayudar(?:me)?|¿?para qu[eé] sirves"
        r"|¿?qu[eé] (?:te )?puedo preguntar(?:te)?"
        r"|¿?c[oó]mo (?:me )?puede(?:s)? ayudar(?:me)?|¿?qu[eé] (?:eres|haces)"
    ),
    (
        r"was (?:kannst|können) (?:du|sie)(?: (?:tun|machen|alles|für mich tun|so))*|wer (?:bist du"
        r"|sind sie)|hilfe"
        r"|wobei (?:kannst du|können sie)(?: mir)? helfen|wie (?:kannst du"
        r"|können sie)(?: mir)? helfen"
        r"|was (?:bist du|machst du|kann ich (?:dich|sie|hier) fragen)|wie funktionierst du"
    ),
    (
        r"(?:а )?что (?:ты|вы) (?:умее(?:шь|те)|може(?:шь|те)|дела(?:ешь|ете)|знае(?:шь"
        r"|те))(?: делать)?|кто (?:ты|вы)"
        r"(?: такой| такая| такие)?|помощь|чем (?:ты|вы) може(?:шь|те)(?: мне)? помочь"
        r"|как (?:ты|вы) може(?:шь|те)(?: мне)? помочь|что (?:тебя|вас) можно спросить"
    ),
)
_HOW_ARE_YOU = (
    (
        r"how are (?:you|things)(?: doing)?(?: today)?|how(?:'s| is) it going|how do you do"
        r"|what'?s up|sup"
    ),
    r"你(?:还)?好吗|您好吗|最近怎么样|怎么样",
    (
        r"¿?c[oó]mo (?:est[aá]s?|te va|le va)(?: usted)?(?: hoy)?|¿?qu[eé] tal(?: est[aá]s?)?"
        r"|¿?todo bien"
    ),
    r"wie geht(?:'s|s| es)(?: dir| ihnen)?(?: heute)?|alles gut|was geht",
    r"как (?:дела|ты|вы|поживаешь|поживаете|жизнь)(?: у вас| у тебя)?",
)
_IS_BOT = (
    (
        r"(?:are|r) (?:you|u) (?:really |actually |just )?(?:an? )?(?:real )?(?:bot|robot|human"
        r"|person|ai|machine"
        r"|chat ?bot|real|computer|program|automated|alive|someone real)"
        r"(?: or (?:an? )?(?:real )?(?:bot|robot|human|person|ai|machine))?"
        r"|am i (?:talking|speaking|chatting) (?:to|with) (?:an? )?(?:real )?(?:bot|robot|human"
        r"|person|ai|machine)"
        r"(?: or (?:an? )?(?:real )?(?:bot|robot|human|person|ai|machine))?|is this (?:an? )?(?:bot"
        r"|robot|ai|real person|human)"
        r"|are you (?:chatgpt|gpt|an? llm|claude|gemini)"
    ),
    (
        r"你是(?:不是)?(?:一个)?(?:机器人|真人|人工|人|ai|人工智能|人类|电脑)(?:吗|么"
        r"|还是.{1,5})?|您是(?:不是)?(?:机器人|真人|人工)(?:吗)?"
        r"|是真人吗|这是机器人吗"
    ),
    (
        r"¿?(?:eres|es usted) (?:un |una )?(?:bot|robot|humano|persona(?: real)?|ia|máquina"
        r"|m[aá]quina)"
        r"(?: o (?:un |una )?(?:bot|robot|humano|persona|máquina))?|¿?estoy hablando con (?:un "
        r"|una )?(?:bot|robot|persona|humano)"
    ),
    (
        r"(?:bist du|sind sie) (?:ein |eine )?(?:echter |echte )?(?:bot|roboter|mensch|ki|maschine"
        r"|person|computer)"
        r"(?: oder (?:ein |eine )?(?:bot|roboter|mensch|ki|maschine))?|spreche ich mit (?:einem "
        r"|einer )?(?:bot|roboter|menschen|maschine|ki)"
    ),
    (
        r"(?:ты|вы) (?:бот|робот|человек|ии|машина|живой|живой человек"
        r"|настоящий человек)(?: или (?:бот|робот|человек))?"
        r"|это бот|я говорю с (?:ботом|роботом|человеком)"
    ),
)
_PERSON = (
    r"(?:an? |the |some |your )?(?:real |actual |live |human )?(?:human|person|agent|people"
    r"|someone|somebody|representative"
    r"|operator|human being|support agent|customer service(?: agent| representative)?"
    r"|support(?: team| staff)?"
    r"|employee|staff(?: member)?|advisor|rep|member of staff|colleague|manager"
    r"|supervisor)(?: please)?"
)
_HUMAN = (
    (
        rf"(?:(?:can|could|may) i |i (?:want|need|would like|wanna|wish|'d like|have)(?: to)? "
        rf"|i'd (?:like|prefer|rather)(?: to)? |let me |"
        rf"(?:please )?(?:can|could|would) you (?:please )?|please )*"
        rf"(?:(?:talk|speak|chat)(?: directly)?(?: to| with)|connect(?: me)?(?: to| with)"
        rf"|transfer(?: me)? to|get(?: me)?|"
        rf"(?:be )?(?:connected|transferred|put through)(?: to| with)|put me through to"
        rf"|hand(?: me)? over to|"
        rf"give me|call|contact|escalate(?: this)? to|i want|i need) {_PERSON}"
        rf"(?: right now| now| instead| about (?:this|it|that))?"
    ),
    (
        r"(?:a )?(?:real |live |actual )?(?:human|person|human being|human agent|live agent"
        r"|operator|agent|representative)(?: please| now)?"
        r"|is there (?:a |any)(?:real )?(?:human|person|one|body)(?: here| there| i can (?:talk"
        r"|speak) (?:to|with))?"
        r"|human support|live (?:chat|support)|hand ?over"
    ),
    (
        r"(?:我?(?:要|想要?|需要)?(?:转|找|接|联系|叫)?(?:一下|一个|个)?)?(?:转接?|和|跟"
        r"|与)?(?:人工|真人)(?:客服|服务|坐席)?(?:聊"
        r"|说话|谈)?(?:吧|服务)?"
        r"|(?:我?(?:要|想)?(?:转|找|接|叫))(?:客服|人)(?:人员)?"
    ),
    (
        r"(?:(?:quiero|quisiera|necesito|puedo|me gustaría|podría) )?(?:hablar|chatear|contactar"
        r"|comunicarme)(?: directamente)? con "
        r"(?:un |una |el |la |alguien|algún )?(?:humano|persona(?: real| humana)?|agente|operador"
        r"|representante|alguien|soporte|asesor)?"
        r"|(?:un |una )?(?:humano|persona real|agente|agente humano|operador)"
        r"|p[aá]s(?:a|e)me con (?:un |una )?(?:humano|persona|agente|operador)"
    ),
    (
        r"(?:(?:ich (?:möchte|will|würde gerne?)|kann ich"
        r"|könnte ich) )?(?:bitte )?(?:mit )?(?:einem |einen |einer |jemandem|jemand |ein )?"
        r"(?:echten |richtigen )?(?:mensch(?:en)?|mitarbeiter(?:in)?|person|berater|agenten"
        r"|(?:dem )?(?:support|kundenservice)"
        r"(?= sprech| red| chat)|jemandem(?= sprech| red| chat))(?: (?:sprechen|reden|chatten"
        r"|verbunden werden|bitte))*|(?:bitte )?verbinden sie mich(?: mit (?:einem |einer )?\w+)?"
    ),
    (
        r"(?:(?:я )?(?:хочу|хотел(?:а)? бы|можно|могу(?: ли)?(?: я)?|мне нужно"
        r"|нужно) )?(?:поговорить|связаться|пообщаться|чат) с "
        r"(?:живым )?(?:человеком|оператором|сотрудником|кем-нибудь|кем-то|поддержкой|менеджером"
        r"|специалистом)"
        r"|(?:живой )?(?:человек|оператор)(?:а)?|позовите (?:человека|оператора|менеджера)"
        r"|соедините (?:меня )?с (?:человеком|оператором)"
        r"|переключите (?:меня )?на (?:оператора|человека)|(?:мне )?нужен (?:живой )?(?:человек"
        r"|оператор)"
    ),
)

STEPS = 12  # pleasantries taken off one message
_GAP = r"[\s,.!?;:~。，！？、…·\-–—¡¿)(]*"
_LANGS = ("en", "zh", "es", "de", "ru")
_WORD_END = r"(?![^\W_])"


def _edge(patterns: dict[str, str]) -> dict[str, re.Pattern[str]]:
    """The pattern as a whole word at the start; unspaced languages have no word ends."""
    return {
        lang: re.compile(
            rf"{_GAP}(?:{text}){'' if lang == 'zh' else _WORD_END}{_GAP}", re.IGNORECASE
        )
        for lang, text in patterns.items()
    }


_EDGES = {
    Talk.GREETING: _edge(_GREETING),
    Talk.THANKS: _edge(_THANKS),
    Talk.GOODBYE: _edge(_GOODBYE),
    Talk.ACKNOWLEDGED: _edge(_ACKNOWLEDGED),
}
_FILLERS = _edge(_FILLER)
_OPENERS = re.compile(
    rf"{_GAP}(?:(?:{_PAUSED})\s*[,.!?:;，。！？：-]{_GAP}"
    rf"|(?:{_RUNNING}){_WORD_END}{_GAP}(?:(?:if|whether|that|si|ob)\s+)?)",
    re.IGNORECASE,
)
_CLOSERS = (*_THANKS.values(), _GOODBYE["en"], "please|pls|por favor|bitte|пожалуйста")
_TRAILING = re.compile(
    rf"(?:(?<![^\W_])|(?<=[\u3400-\u9fff]))(?:{'|'.join(_CLOSERS)}){_GAP}$", re.IGNORECASE
)
_WHOLE = {
    Talk.HOW_ARE_YOU: _HOW_ARE_YOU,
    Talk.CAPABILITY: _CAPABILITY,
    Talk.IS_BOT: _IS_BOT,
    Talk.HUMAN: _HUMAN,
}
_WHOLES = {
    talk: [re.compile(rf"{_GAP}(?:{one}){_GAP}", re.IGNORECASE) for one in patterns]
    for talk, patterns in _WHOLE.items()
}
_EMOJI = {
    "👋": Talk.GREETING,
    "🙏": Talk.THANKS,
    "👍": Talk.ACKNOWLEDGED,
    "❤": Talk.THANKS,
    "👌": Talk.ACKNOWLEDGED,
}
_YES = re.compile(
    rf"{_GAP}(?:yes|yeah|yep|sure|ok(?:ay)?|please(?: do)?|s[ií]|vale|claro|ja|gerne?|klar|да"
    rf"|конечно|давай(?:те)?"
    rf"|好的?|是的?|可以|行|对)(?:[\s,]+(?:please|por favor|bitte|пожалуйста))?{_GAP}",
    re.IGNORECASE,
)


def peel(message: str) -> Peeled:
    """Take greetings, thanks and fillers off both ends of a message."""
    rest = message.strip()
    seen: list[tuple[Talk, str]] = []
    whole = _is_whole(rest)
    for _ in range(STEPS):
        step = _step(rest) if rest and whole is None else None
        if step is None:
            break
        talk, lang, end = step
        if talk is not None:
            seen.append((talk, lang))
        rest = rest[end:]
        whole = _is_whole(rest)
    if whole is not None:
        return Peeled("", *whole)
    if seen and not rest.strip(" \t\n.,!?…"):
        return Peeled("", *_strongest(seen))
    return Peeled(_unwrapped(rest) or message.strip(), None, "")


def _unwrapped(rest: str) -> str:
    """A question without "can you tell me" before it and "thanks" after it."""
    cut = _OPENERS.match(rest)
    if cut and len(rest) - cut.end() > 3:
        rest = rest[cut.end() :]
    # Only the end is searched: a long message is not gone through for its thanks.
    tail = max(0, len(rest) - 80)
    trailing = _TRAILING.search(rest, tail)
    if trailing and trailing.start() > 3:
        rest = rest[: trailing.start()].rstrip(" ,;:–—-")
    return rest.strip()


def wants_human_now(message: str, last_answer: str) -> bool:
    """True if the message says yes to the offer of a person that the last answer ended with."""
    if not _YES.fullmatch(message):
        return False
    return any(one.offer in last_answer for one in SPOKEN.values())


def _step(text: str) -> tuple[Talk | None, str, int] | None:
    """The pleasantry that opens a text: what it is, its language and where it ends."""
    for talk, patterns in _EDGES.items():
        for lang, pattern in patterns.items():
            found = pattern.match(text)
            if found and found.end() > 0 and _is_aside(talk, text, found.end()):
                return talk, lang, found.end()
    for lang, pattern in _FILLERS.items():
        found = pattern.match(text)
        # A filler goes only where small talk follows or nothing: "and" may open a follow-up.
        if found and (found.end() == len(text) or _opens_talk(text[found.end() :])):
            return None, lang, found.end()
    for emoji, talk in _EMOJI.items():
        if text.startswith(emoji):
            return talk, "", len(emoji)
    return None


def _is_aside(talk: Talk, text: str, end: int) -> bool:
    # "Good" opens "good soil for tomatoes?" too: what follows decides if it is small talk.
    if talk is not Talk.ACKNOWLEDGED or end == len(text):
        return True
    return _breaks(text, end) or _opens_talk(text[end:])


def _opens_talk(text: str) -> bool:
    return any(one.match(text) for edges in _EDGES.values() for one in edges.values())


def _breaks(text: str, end: int) -> bool:
    return re.search(r"[,.!?;:，。！？、…\n–—-]\s*$", text[max(0, end - 4) : end]) is not None


def _is_whole(text: str) -> tuple[Talk, str] | None:
    for talk, patterns in _WHOLES.items():
        for index, pattern in enumerate(patterns):
            if pattern.fullmatch(text):
                return talk, _whole_lang(talk, index)
    return None


def _whole_lang(talk: Talk, index: int) -> str:
    # English has two patterns for asking for a person, every other language one.
    return _LANGS[max(0, index - 1)] if talk is Talk.HUMAN else _LANGS[index]


def _strongest(seen: list[tuple[Talk, str]]) -> tuple[Talk, str]:
    order = (Talk.THANKS, Talk.GOODBYE, Talk.GREETING, Talk.ACKNOWLEDGED)
    return min(seen, key=lambda one: order.index(one[0]))
