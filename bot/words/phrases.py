"""What the bot says in its own words, in every language it speaks itself.

Knows sentences, not when to say them. A language without its own entry is answered in English.
No sentence promises what the bot cannot do: `handed` is said only once staff were told.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """The bot's own sentences in one language. `{…}` is filled in where it is used."""

    greeting: str
    how_are_you: str
    thanks: str
    goodbye: str
    acknowledged: str
    capability: str
    is_bot: str
    human_known: str  # followed by a quote from the knowledge
    human_unknown: str
    human_contact: str  # {contact}
    handed: str
    abstain: str
    abstain_part: str  # {question}
    nearest: str  # followed by a list
    offer: str
    not_instructions: str
    unreadable: str
    contact_query: str  # what is searched for when somebody wants a person
    searching: str
    writing: str
    quote_mark: str = "“{}”"


_EN = Phrases(
    greeting="Hello! What would you like to know?",
    how_are_you="All well here, thank you. What can I look up for you?",
    thanks="You're welcome! Ask away if there is anything else.",
    goodbye="Goodbye, and come back any time.",
    acknowledged="Good. Is there anything else you would like to know?",
    capability="I answer questions from the documents I have been given, and show where each "
    "answer comes from. When they don't say, I tell you so instead of guessing.",
    is_bot="I'm an automated assistant, not a person. I answer from the documents I have been "
    "given, and show where each answer comes from.",
    human_known="I'm an automated assistant. This is how to reach a person:",
    human_unknown="I'm an automated assistant, and the documents I have don't say how to reach "
    "a person. Whoever runs this page can tell you.",
    human_contact="I'm an automated assistant. You can reach a person here: {contact}",
    handed="I've passed this on to the team. A person will answer you here; until then I stay "
    "quiet, and whatever you write reaches them.",
    abstain="That is not in what I know.",
    abstain_part="I found nothing on {question}.",
    nearest="The nearest pages I have:",
    offer="If you would rather talk to a person, just write “human”.",
    not_instructions="I can only answer questions from the documents I have been given; "
    "instructions in a message don't change that.",
    unreadable="I could not read a question in that. Please write it in words.",
    contact_query="how to contact customer support: phone, e-mail, opening hours",
    searching="Searching…",
    writing="Writing…",
)
_ZH = Phrases(
    greeting="您好！请问想了解什么？",
    how_are_you="一切都好，谢谢！想让我查点什么？",
    thanks="不客气！还有问题随时问我。",
    goodbye="再见，欢迎随时再来。",
    acknowledged="好的。还有其他想了解的吗？",
    capability="我根据已收录的资料回答问题，并标明每个答案的出处。资料里没有的，我会直说，不会猜测。",
    is_bot="我是自动助手，不是真人。我根据已收录的资料回答问题，并标明每个答案的出处。",
    human_known="我是自动助手。您可以这样联系人工客服：",
    human_unknown="我是自动助手，已收录的资料没有说明如何联系人工客服。请咨询本页面的运营方。",
    human_contact="我是自动助手。您可以通过这里联系人工客服：{contact}",
    handed="我已将对话转给工作人员，会有人在这里回复您。在此期间我不再作答，您写的内容他们都能看到。",
    abstain="我掌握的资料里没有这方面的内容。",
    abstain_part="关于{question}，我没有找到相关内容。",
    nearest="最接近的页面：",
    offer="如果想找人工客服，请直接输入“人工”。",
    not_instructions="我只能根据已收录的资料回答问题；消息里的指令不会改变这一点。",
    unreadable="我没能看出其中的问题，请用文字写出来。",
    contact_query="如何联系人工客服：电话、邮箱、服务时间",
    searching="正在查找…",
    writing="正在撰写…",
)
_ES = Phrases(
    greeting="¡Hola! ¿Qué le gustaría saber?",
    how_are_you="Todo bien, gracias. ¿Qué puedo buscarle?",
    thanks="¡De nada! Pregúnteme si necesita algo más.",
    goodbye="Hasta luego; vuelva cuando quiera.",
    acknowledged="Muy bien. ¿Hay algo más que quiera saber?",
    capability="Respondo preguntas a partir de los documentos que me han dado y muestro de dónde "
    "sale cada respuesta. Cuando no lo dicen, se lo digo en lugar de inventar.",
    is_bot="Soy un asistente automático, no una persona. Respondo a partir de los documentos que "
    "me han dado y muestro de dónde sale cada respuesta.",
    human_known="Soy un asistente automático. Así puede hablar con una persona:",
    human_unknown="Soy un asistente automático, y los documentos que tengo no dicen cómo hablar "
    "con una persona. Quien gestiona esta página puede indicárselo.",
    human_contact="Soy un asistente automático. Aquí puede hablar con una persona: {contact}",
    handed="He pasado esto al equipo. Una persona le responderá aquí; hasta entonces no diré nada, "
    "y lo que usted escriba les llegará.",
    abstain="Eso no está en lo que sé.",
    abstain_part="No he encontrado nada sobre {question}.",
    nearest="Las páginas más cercanas que tengo:",
    offer="Si prefiere hablar con una persona, escriba «humano».",
    not_instructions="Solo puedo responder preguntas a partir de los documentos que me han dado; "
    "las instrucciones de un mensaje no cambian eso.",
    unreadable="No he podido leer ninguna pregunta ahí. Escríbala con palabras, por favor.",
    contact_query="cómo contactar con atención al cliente: teléfono, correo, horario",
    searching="Buscando…",
    writing="Escribiendo…",
    quote_mark="«{}»",
)
_DE = Phrases(
    greeting="Hallo! Was möchten Sie wissen?",
    how_are_you="Alles gut, danke. Was darf ich nachsehen?",
    thanks="Gern geschehen! Fragen Sie jederzeit weiter.",
    goodbye="Auf Wiedersehen, und kommen Sie gern wieder.",
    acknowledged="Gut. Möchten Sie noch etwas wissen?",
    capability="Ich beantworte Fragen aus den Unterlagen, die ich bekommen habe, und zeige, woher "
    "jede Antwort stammt. Steht etwas nicht darin, sage ich das, statt zu raten.",
    is_bot="Ich bin ein automatischer Assistent, kein Mensch. Ich antworte aus den Unterlagen, "
    "die ich bekommen habe, und zeige, woher jede Antwort stammt.",
    human_known="Ich bin ein automatischer Assistent. So erreichen Sie einen Menschen:",
    human_unknown="Ich bin ein automatischer Assistent, und in meinen Unterlagen steht nicht, wie "
    "Sie einen Menschen erreichen. Wer diese Seite betreibt, kann es Ihnen sagen.",
    human_contact="Ich bin ein automatischer Assistent. Hier erreichen Sie einen Menschen: "
    "{contact}",
    handed="Ich habe das an das Team weitergegeben. Ein Mensch wird Ihnen hier antworten; bis "
    "dahin bin ich still, und was Sie schreiben, kommt dort an.",
    abstain="Das steht nicht in dem, was ich weiß.",
    abstain_part="Zu {question} habe ich nichts gefunden.",
    nearest="Die nächstliegenden Seiten, die ich habe:",
    offer="Wenn Sie lieber mit einem Menschen sprechen, schreiben Sie „Mensch“.",
    not_instructions="Ich kann nur Fragen aus den Unterlagen beantworten, die ich bekommen habe; "
    "Anweisungen in einer Nachricht ändern daran nichts.",
    unreadable="Darin konnte ich keine Frage erkennen. Bitte schreiben Sie sie in Worten.",
    contact_query="Kundenservice erreichen: Telefon, E-Mail, Öffnungszeiten",
    searching="Ich suche …",
    writing="Ich schreibe …",
    quote_mark="„{}“",
)
_RU = Phrases(
    greeting="Здравствуйте! Что вы хотели бы узнать?",
    how_are_you="Всё хорошо, спасибо. Что для вас найти?",
    thanks="Пожалуйста! Спрашивайте, если понадобится что-то ещё.",
    goodbye="До свидания, возвращайтесь в любое время.",
    acknowledged="Хорошо. Хотите узнать что-нибудь ещё?",
    capability="Я отвечаю на вопросы по документам, которые мне дали, и показываю, откуда взят "
    "каждый ответ. Если в них этого нет, я так и скажу, а не буду гадать.",
    is_bot="Я автоматический помощник, не человек. Я отвечаю по документам, которые мне дали, и "
    "показываю, откуда взят каждый ответ.",
    human_known="Я автоматический помощник. Вот как связаться с человеком:",
    human_unknown="Я автоматический помощник, и в моих документах не сказано, как связаться с "
    "человеком. Это подскажут владельцы страницы.",
    human_contact="Я автоматический помощник. Связаться с человеком можно здесь: {contact}",
    handed="Я передал это сотрудникам. Вам ответит человек прямо здесь; до тех пор я молчу, а всё, "
    "что вы напишете, дойдёт до них.",
    abstain="Этого нет в том, что я знаю.",
    abstain_part="Я ничего не нашёл по вопросу {question}.",
    nearest="Ближайшие страницы, которые у меня есть:",
    offer="Если хотите поговорить с человеком, напишите «человек».",
    not_instructions="Я могу только отвечать на вопросы по документам, которые мне дали; указания "
    "в сообщении этого не меняют.",
    unreadable="Я не нашёл здесь вопроса. Напишите его, пожалуйста, словами.",
    contact_query="как связаться со службой поддержки: телефон, почта, часы работы",
    searching="Ищу…",
    writing="Пишу…",
    quote_mark="«{}»",
)

SPOKEN = {"en": _EN, "zh": _ZH, "es": _ES, "de": _DE, "ru": _RU}


def phrases(lang: str) -> Phrases:
    """The bot's sentences in `lang`, or in English where it does not speak it."""
    return SPOKEN.get(lang, _EN)
