"""The engine: the process that holds the Transformer, its client and its keeper.

`client` and `supervisor` run inside the bot and import no heavy library. Everything else runs
in the engine's own process (`python -m bot.engine`), which speaks the OpenAI chat API.
"""
