"""Writing help for staff: drafts, summaries, translations and code, on command.

`commands` reads what was asked for, `templates/` say how it is written, `writer` joins them with
the knowledge and a model.
"""
