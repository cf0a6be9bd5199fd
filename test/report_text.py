# SPDX-License-Identifier: Apache-2.0
"""Reads the HTML reports back."""

import html.parser
import re

VOID = {'img', 'meta', 'br', 'link', 'input'}


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects sources, links and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.links, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.sources.append(values.get('src') or '')
        self.links.append(values.get('href') or '')
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ' '.join(self.words))
