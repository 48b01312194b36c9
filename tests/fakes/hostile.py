"""Texts that try to run code in the page, or to make it fetch something."""

from __future__ import annotations

RUN = "window.__pwned=1"

ATTACKS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror='{RUN}'>",
    f'"><svg onload={RUN}>',
    f"<svg><script>{RUN}</script></svg>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<a href='javascript:{RUN}'>click</a>",
    f"[click](javascript:{RUN})",
    f"[click](JaVaScRiPt:{RUN})",
    f"[click](&#106;avascript:{RUN})",
    f"<javascript:{RUN}>",
    f"[click](data:text/html,<script>{RUN}</script>)",
    f"![x](javascript:{RUN})",
    f'![x](https://evil.example/p.png "onerror={RUN}")',
    f"[x](https://evil.example \"' onmouseover={RUN} '\")",
    f"[1]: javascript:{RUN}",
    f"`</code><script>{RUN}</script>`",
    f"```\n</pre><script>{RUN}</script>\n```",
    f"| a |\n|---|\n| <img src=x onerror={RUN}> |",
    f"<details open ontoggle={RUN}>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<template><script>{RUN}</script></template>",
    f"<form><button formaction=javascript:{RUN}>x",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    f"<base href='javascript:{RUN}//'>",
    f"<!--><img src=x onerror={RUN}>-->",
    f"\\<img src=x onerror={RUN}>",
    f"&lt;img src=x onerror={RUN}&gt;",
    f"<x style=animation-name:swipe onanimationstart={RUN}>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
)
