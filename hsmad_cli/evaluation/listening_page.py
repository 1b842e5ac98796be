"""What pages to listen to have in common: they fit a phone, follow a dark desktop and play one sound at a time."""

from __future__ import annotations

import html


def listening_page(title: str, style: str, body: str) -> str:
    """An HTML page. title: plain text, also the heading; style: CSS; body: HTML."""
    return PAGE.format(title=html.escape(title), style=style, body=body)


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem sans-serif; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }}
h1 {{ font-size: 1.5rem }}
audio {{ display: block; width: 100%; margin: .5rem 0 }}
{style}
</style>
<h1>{title}</h1>
{body}
<script>
document.addEventListener("play", event => {{
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}}, true);
</script>
</html>
"""
