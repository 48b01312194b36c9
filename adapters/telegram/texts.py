"""What the Telegram door says itself, in the languages it speaks: English is the first.

Knows sentences, buttons and the command menu; not when they are used. Answers come from the bot,
in the language it chose. A test holds every language to the same fields and placeholders.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.dispatching import notices

COMMANDS = ("help", "new", "human", "feedback", "privacy", "delete_my_data")
REASONS = ("wrong", "missing", "old", "beside", "unclear")


@dataclass(frozen=True, slots=True)
class Texts:
    """One language. `{…}` is filled in where it is used."""

    description: str  # what an empty chat shows, to 512 characters
    short: str  # the bot's profile, to 120
    commands: tuple[str, ...]  # what each of COMMANDS does
    greeting: str  # {name}
    help: str
    fresh: str
    human_ended: str
    wish: str  # a question that the bot understands as a wish for a person
    talk: str  # a button
    feedback: str  # {question}
    feedback_none: str
    privacy: str
    delete_ask: str
    delete_yes: str
    delete_no: str
    deleted: str
    kept: str
    helpful: str
    unhelpful: str
    voted: str
    withdrawn: str
    why: str
    reasons: tuple[str, ...]  # one for each of REASONS
    own_words: str
    correct: str
    thanks: str
    vote_gone: str
    stop: str
    stopping: str
    not_yours: str
    voice: str
    picture: str
    other: str
    sources: str
    working: str
    busy: str
    failed: str
    stopped: str
    full: str
    waiting: str
    too_long: str


_EN = Texts(
    description="Ask me anything about our products and services. I answer from our documents and "
    "show where each answer comes from. If they don't say, I tell you so.",
    short="Answers from our documents, with sources.",
    commands=(
        "What I can do",
        "Begin a new conversation",
        "Talk to a person",
        "Say whether the last answer helped",
        "What is kept about you",
        "Delete what you wrote here",
    ),
    greeting="Hello {name}! Ask me a question in your own words. I answer from our documents and "
    "show where the answer comes from.",
    help="Just write your question. I look it up in our documents and name the sources.\n\n"
    "/new begins a new conversation\n/human asks for a person\n/feedback rates the last answer\n"
    "/privacy tells what is kept\n/delete_my_data deletes it\n\n"
    "In groups, mention me or reply to me.",
    fresh="A new conversation: what was said before no longer counts. What would you like to know?",
    human_ended=notices.RESOLVED,
    wish="I want to talk to a person",
    talk="Talk to a person",
    feedback="You asked: “{question}”. Did the answer help?",
    feedback_none="There is no answer of mine to rate yet. Ask me something first.",
    privacy="What you write to me, my answers and your votes are kept, so that people can check "
    "the answers and improve them. Your Telegram id and name are kept with them. "
    "/delete_my_data deletes your words, the answers to them and your votes.",
    delete_ask="Delete everything you wrote to me, my answers to it and your votes? This cannot "
    "be undone. Messages in this chat stay until you delete them yourself.",
    delete_yes="Yes, delete",
    delete_no="No, keep",
    deleted="Done. What you wrote to me, my answers to it and your votes are deleted.",
    kept="Nothing was deleted.",
    helpful="Helpful",
    unhelpful="Not helpful",
    voted="Thank you, noted.",
    withdrawn="Your vote is taken back.",
    why="Sorry about that. What went wrong?",
    reasons=("Wrong", "Incomplete", "Out of date", "Off the point", "Hard to read"),
    own_words="In your own words",
    correct="What should the answer have said? Reply to this message.",
    thanks="Thank you. People will read that.",
    vote_gone="This answer can no longer be rated.",
    stop="Stop",
    stopping="Stopping.",
    not_yours="Only the person who asked can do that.",
    voice="I can't listen to voice messages yet. Please write your question as text.",
    picture="I can't look at pictures or files yet. Please write your question as text.",
    other="I can only read text. Please write your question in words.",
    sources="Sources",
    working="Looking that up…",
    busy=notices.BUSY,
    failed=notices.FAILED,
    stopped=notices.STOPPED,
    full=" ".join(notices.REFUSED_FULL),
    waiting="You already have several questions waiting. Please wait for an answer first.",
    too_long="That message is too long for me. Please shorten it, or send it in parts.",
)
_ZH = Texts(
    description="欢迎咨询我们的产品和服务。我根据资料回答，并标明每个答案的出处；资料里没有的，我会直说。",
    short="根据资料回答，并标明出处。",
    commands=(
        "我能做什么",
        "开始新的对话",
        "联系人工客服",
        "评价上一个回答",
        "保存了哪些信息",
        "删除您写的内容",
    ),
    greeting="{name}，您好！请直接提问。我根据资料回答，并标明出处。",
    help="请直接写下您的问题，我会在资料中查找并注明出处。\n\n/new 开始新的对话\n"
    "/human 联系人工客服\n/feedback 评价上一个回答\n/privacy 查看保存了哪些信息\n"
    "/delete_my_data 删除这些信息\n\n"
    "在群组里，请提及我或回复我的消息。",
    fresh="已开始新的对话，之前的内容不再参考。请问想了解什么？",
    human_ended="人工客服已结束本次对话，接下来由我继续回答。",
    wish="我想找人工客服",
    talk="联系人工客服",
    feedback="您的问题是：“{question}”。这个回答有帮助吗？",
    feedback_none="还没有可以评价的回答。请先提一个问题。",
    privacy="您写的内容、我的回答和您的评价会被保存，供工作人员检查和改进回答，"
    "同时保存您的 Telegram ID 和名称。"
    "/delete_my_data 可以删除您写的内容、相应的回答和您的评价。",
    delete_ask="要删除您写给我的全部内容、我的回答和您的评价吗？此操作无法撤销。聊天中的消息需要您自行删除。",
    delete_yes="是，删除",
    delete_no="不，保留",
    deleted="已删除您写的内容、我的回答和您的评价。",
    kept="没有删除任何内容。",
    helpful="有帮助",
    unhelpful="没帮助",
    voted="谢谢，已记录。",
    withdrawn="已撤回您的评价。",
    why="很抱歉。问题出在哪里？",
    reasons=("有错误", "不完整", "已过时", "答非所问", "难以理解"),
    own_words="用自己的话说明",
    correct="正确的回答应该是什么？请回复这条消息。",
    thanks="谢谢，工作人员会查看。",
    vote_gone="这个回答已无法评价。",
    stop="停止",
    stopping="正在停止。",
    not_yours="只有提问的人可以这样做。",
    voice="我还不能听语音消息，请用文字写下您的问题。",
    picture="我还不能查看图片或文件，请用文字写下您的问题。",
    other="我只能阅读文字，请用文字写下您的问题。",
    sources="来源",
    working="正在查找…",
    busy="抱歉，现在等待的问题太多，没能及时处理您的问题。请几分钟后再问。",
    failed="抱歉，处理时出了问题，已经记录。请换个说法再问，或联系人工客服。",
    stopped="已按您的要求停止。",
    full="现在等待的问题太多，请几分钟后再试。",
    waiting="您已有几个问题在等待，请先等待回答。",
    too_long="这条消息太长了，请缩短或分几次发送。",
)
_ES = Texts(
    description="Pregúntame lo que quieras sobre nuestros productos y servicios. Respondo con "
    "nuestros documentos e indico de dónde sale cada respuesta. Si no lo dicen, te lo digo.",
    short="Respuestas de nuestros documentos, con sus fuentes.",
    commands=(
        "Qué puedo hacer",
        "Empezar otra conversación",
        "Hablar con una persona",
        "Decir si la última respuesta ayudó",
        "Qué se guarda sobre ti",
        "Borrar lo que has escrito",
    ),
    greeting="¡Hola, {name}! Hazme una pregunta con tus palabras. Respondo con nuestros documentos "
    "e indico de dónde sale la respuesta.",
    help="Escribe tu pregunta. La busco en nuestros documentos y nombro las fuentes.\n\n"
    "/new empieza otra conversación\n/human pide una persona\n/feedback valora la última "
    "respuesta\n/privacy dice qué se guarda\n/delete_my_data lo borra\n\n"
    "En los grupos, mencióname o responde a un mensaje mío.",
    fresh="Empezamos de nuevo: lo dicho antes ya no cuenta. ¿Qué quieres saber?",
    human_ended="Nuestro equipo ha cerrado esta conversación. Desde ahora vuelvo a responder yo.",
    wish="Quiero hablar con una persona",
    talk="Hablar con una persona",
    feedback="Preguntaste: «{question}». ¿Te ayudó la respuesta?",
    feedback_none="Todavía no hay una respuesta mía que valorar. Pregúntame algo primero.",
    privacy="Se guardan lo que me escribes, mis respuestas y tus votos, para que personas revisen "
    "y mejoren las respuestas, junto con tu identificador y tu nombre de Telegram. "
    "/delete_my_data borra tus palabras, sus respuestas y tus votos.",
    delete_ask="¿Borrar todo lo que me has escrito, mis respuestas y tus votos? No se puede "
    "deshacer. Los mensajes de este chat siguen hasta que los borres tú.",
    delete_yes="Sí, borrar",
    delete_no="No, conservar",
    deleted="Hecho. Lo que me escribiste, mis respuestas y tus votos están borrados.",
    kept="No se ha borrado nada.",
    helpful="Me ayudó",
    unhelpful="No me ayudó",
    voted="Gracias, anotado.",
    withdrawn="Tu voto queda retirado.",
    why="Lo siento. ¿Qué falló?",
    reasons=("Incorrecta", "Incompleta", "Anticuada", "No viene al caso", "Difícil de entender"),
    own_words="Con mis palabras",
    correct="¿Qué debería haber dicho la respuesta? Responde a este mensaje.",
    thanks="Gracias. Lo leerán personas.",
    vote_gone="Esta respuesta ya no se puede valorar.",
    stop="Parar",
    stopping="Parando.",
    not_yours="Solo puede hacerlo quien preguntó.",
    voice="Todavía no puedo escuchar mensajes de voz. Escribe tu pregunta, por favor.",
    picture="Todavía no puedo ver imágenes ni archivos. Escribe tu pregunta, por favor.",
    other="Solo puedo leer texto. Escribe tu pregunta con palabras, por favor.",
    sources="Fuentes",
    working="Lo estoy buscando…",
    busy="Lo siento, hay muchas preguntas esperando y no llegué a la tuya a tiempo. Hazla otra vez "
    "en unos minutos.",
    failed="Lo siento, algo falló al trabajar en esto y ha quedado anotado. Pregunta de otra "
    "manera o pide una persona.",
    stopped="Detenido, como pediste.",
    full="Hay demasiadas preguntas esperando. Inténtalo de nuevo en unos minutos.",
    waiting="Ya tienes varias preguntas esperando. Espera primero una respuesta.",
    too_long="Ese mensaje es demasiado largo. Acórtalo o envíalo en partes.",
)
_DE = Texts(
    description="Fragen Sie mich etwas zu unseren Produkten und Leistungen. Ich antworte aus "
    "unseren Unterlagen und nenne die Quelle. Steht es dort nicht, sage ich das.",
    short="Antworten aus unseren Unterlagen, mit Quellen.",
    commands=(
        "Was ich kann",
        "Ein neues Gespräch beginnen",
        "Mit einem Menschen sprechen",
        "Die letzte Antwort bewerten",
        "Was gespeichert wird",
        "Ihre Nachrichten löschen",
    ),
    greeting="Hallo {name}! Stellen Sie mir eine Frage in Ihren Worten. Ich antworte aus unseren "
    "Unterlagen und nenne die Quelle.",
    help="Schreiben Sie einfach Ihre Frage. Ich suche sie in unseren Unterlagen und nenne die "
    "Quellen.\n\n/new beginnt ein neues Gespräch\n/human holt einen Menschen\n/feedback bewertet "
    "die letzte Antwort\n/privacy sagt, was gespeichert wird\n/delete_my_data löscht es\n\n"
    "In Gruppen erwähnen Sie mich oder antworten Sie auf eine meiner Nachrichten.",
    fresh="Ein neues Gespräch: Bisheriges zählt nicht mehr. Was möchten Sie wissen?",
    human_ended="Unser Team hat das Gespräch beendet. Ab jetzt antworte wieder ich.",
    wish="Ich möchte mit einem Menschen sprechen",
    talk="Mit einem Menschen sprechen",
    feedback="Sie haben gefragt: „{question}“. Hat die Antwort geholfen?",
    feedback_none="Es gibt noch keine Antwort von mir, die Sie bewerten könnten.",
    privacy="Ihre Nachrichten, meine Antworten und Ihre Bewertungen werden gespeichert, damit "
    "Menschen die Antworten prüfen und verbessern können, dazu Ihre Telegram-ID und Ihr Name. "
    "/delete_my_data löscht Ihre Worte, die Antworten darauf und Ihre Bewertungen.",
    delete_ask="Alles löschen, was Sie mir geschrieben haben, meine Antworten und Ihre "
    "Bewertungen? Das lässt sich nicht rückgängig machen. "
    "Die Nachrichten in diesem Chat löschen Sie selbst.",
    delete_yes="Ja, löschen",
    delete_no="Nein, behalten",
    deleted="Erledigt. Ihre Nachrichten, meine Antworten und Ihre Bewertungen sind gelöscht.",
    kept="Es wurde nichts gelöscht.",
    helpful="Hilfreich",
    unhelpful="Nicht hilfreich",
    voted="Danke, notiert.",
    withdrawn="Ihre Bewertung ist zurückgenommen.",
    why="Das tut mir leid. Was stimmt nicht?",
    reasons=("Falsch", "Unvollständig", "Veraltet", "Am Thema vorbei", "Schwer verständlich"),
    own_words="In eigenen Worten",
    correct="Was hätte die Antwort sagen sollen? Antworten Sie auf diese Nachricht.",
    thanks="Danke. Das werden Menschen lesen.",
    vote_gone="Diese Antwort lässt sich nicht mehr bewerten.",
    stop="Anhalten",
    stopping="Ich halte an.",
    not_yours="Das kann nur, wer gefragt hat.",
    voice="Sprachnachrichten kann ich noch nicht hören. Bitte schreiben Sie Ihre Frage.",
    picture="Bilder und Dateien kann ich noch nicht ansehen. Bitte schreiben Sie Ihre Frage.",
    other="Ich kann nur Text lesen. Bitte schreiben Sie Ihre Frage in Worten.",
    sources="Quellen",
    working="Ich sehe nach…",
    busy="Es tut mir leid, gerade warten so viele Fragen, dass ich zu Ihrer nicht rechtzeitig "
    "gekommen bin. Bitte fragen Sie in ein paar Minuten noch einmal.",
    failed="Es tut mir leid, bei der Arbeit daran ging etwas schief; es ist vermerkt. Bitte fragen "
    "Sie anders, oder verlangen Sie einen Menschen.",
    stopped="Angehalten, wie gewünscht.",
    full="Gerade warten zu viele Fragen. Bitte versuchen Sie es in ein paar Minuten noch einmal.",
    waiting="Von Ihnen warten schon mehrere Fragen. Bitte warten Sie erst eine Antwort ab.",
    too_long="Diese Nachricht ist zu lang. Bitte kürzen Sie sie oder schicken Sie sie in Teilen.",
)
_RU = Texts(
    description="Спросите меня о наших товарах и услугах. Я отвечаю по нашим документам и указываю "
    "источник каждого ответа. Если ответа там нет, так и скажу.",
    short="Ответы по нашим документам, с источниками.",
    commands=(
        "Что я умею",
        "Начать новый разговор",
        "Поговорить с человеком",
        "Оценить последний ответ",
        "Что о вас хранится",
        "Удалить ваши сообщения",
    ),
    greeting="Здравствуйте, {name}! Задайте вопрос своими словами. Я отвечаю по нашим документам и "
    "указываю источник.",
    help="Просто напишите вопрос. Я поищу ответ в наших документах и назову источники.\n\n"
    "/new начинает новый разговор\n/human зовёт человека\n/feedback оценивает последний ответ\n"
    "/privacy рассказывает, что хранится\n/delete_my_data удаляет это\n\n"
    "В группах упомяните меня или ответьте на моё сообщение.",
    fresh="Начали новый разговор: сказанное раньше больше не учитывается. Что вы хотите узнать?",
    human_ended="Наши сотрудники закончили этот разговор. Дальше снова отвечаю я.",
    wish="Я хочу поговорить с человеком",
    talk="Поговорить с человеком",
    feedback="Вы спросили: «{question}». Ответ помог?",
    feedback_none="Пока нет моего ответа, который можно оценить. Сначала спросите что-нибудь.",
    privacy="Ваши сообщения, мои ответы и ваши оценки хранятся, чтобы люди проверяли и улучшали "
    "ответы; вместе с ними хранятся ваш идентификатор и имя в Telegram. "
    "/delete_my_data удаляет ваши слова, ответы на них и ваши оценки.",
    delete_ask="Удалить всё, что вы мне написали, мои ответы и ваши оценки? Отменить это нельзя. "
    "Сообщения в этом чате останутся, пока вы не удалите их сами.",
    delete_yes="Да, удалить",
    delete_no="Нет, оставить",
    deleted="Готово. Ваши сообщения, мои ответы и ваши оценки удалены.",
    kept="Ничего не удалено.",
    helpful="Помогло",
    unhelpful="Не помогло",
    voted="Спасибо, записано.",
    withdrawn="Ваша оценка отменена.",
    why="Жаль. Что не так?",
    reasons=("Неверно", "Неполно", "Устарело", "Не о том", "Непонятно"),
    own_words="Своими словами",
    correct="Что должно было быть в ответе? Ответьте на это сообщение.",
    thanks="Спасибо. Это прочитают люди.",
    vote_gone="Этот ответ больше нельзя оценить.",
    stop="Остановить",
    stopping="Останавливаю.",
    not_yours="Это может сделать только тот, кто спросил.",
    voice="Я пока не умею слушать голосовые сообщения. Напишите вопрос текстом, пожалуйста.",
    picture="Я пока не умею смотреть картинки и файлы. Напишите вопрос текстом, пожалуйста.",
    other="Я читаю только текст. Напишите вопрос словами, пожалуйста.",
    sources="Источники",
    working="Ищу ответ…",
    busy="Извините, сейчас ждёт так много вопросов, что до вашего я не успел дойти. Спросите ещё "
    "раз через несколько минут.",
    failed="Извините, при работе над этим что-то сломалось; это записано. Спросите иначе или "
    "попросите человека.",
    stopped="Остановлено, как вы просили.",
    full="Сейчас ждёт слишком много вопросов. Попробуйте через несколько минут.",
    waiting="У вас уже несколько вопросов ждут ответа. Дождитесь сначала одного.",
    too_long="Это сообщение слишком длинное. Сократите его или пришлите по частям.",
)

LANGUAGES = {"en": _EN, "zh": _ZH, "es": _ES, "de": _DE, "ru": _RU}


def texts(language: str) -> Texts:
    """The texts for an IETF language tag such as `pt-BR`; English where there are none."""
    return LANGUAGES.get(language.partition("-")[0].lower(), _EN)


def notice(text: str, language: str) -> str:
    """One of the bot's own notices in another language; any other text as it is."""
    told = texts(language)
    own = {
        notices.BUSY: told.busy,
        notices.FAILED: told.failed,
        notices.STOPPED: told.stopped,
        notices.RESOLVED: told.human_ended,
    }
    return own.get(text, text)
