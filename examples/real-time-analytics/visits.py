#!/usr/bin/env python3
"""Makes `access.log`: visits to a manual that exists, along the links that it has.

    visits.py /usr/share/doc/debian-handbook/html/en-US > access.log

The pages, their sizes and their links are those of the HTML files in the directory; here of Debian's package
`debian-handbook`, 11.20220922. Visitors are not real, for those of others are not ours to publish: each comes to a page, most
often to one that is talked of in these minutes, and follows links of the page it is on. The same directory always gives
the same log. A log of your own web server does as well.
"""

import heapq
import random
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

VIEWS = 2400
BEGIN = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
# How often a page is talked of anew, and the share of visitors who come for it.
TOPIC_SECONDS = 40
TOPIC_SHARE = 0.4
LINK = r'href="([\w.-]+\.html)'

chance = random.Random(1)
directory = Path(sys.argv[1])
files = sorted(directory.glob("*.html"))
links = {
    file.name: sorted({link for link in re.findall(LINK, file.read_text()) if (directory / link).exists()}) for file in files
}
# Many links lead to a page that is important; all lead to the first.
weight = {page: (1 + sum(page in targets for targets in links.values())) ** 0.4 for page in links}
sizes = {file.name: file.stat().st_size for file in files}


def choose(pages: list[str]) -> str:
    return chance.choices(pages, [weight[page] for page in pages])[0]


# Who views what next, by time: (seconds since BEGIN, address, page, page before).
views: list[tuple[float, str, str, str]] = []
arrival = 0.0
talked_of: list[str] = []
for visitor in range(VIEWS):
    arrival += chance.expovariate(4)
    while len(talked_of) * TOPIC_SECONDS <= arrival:
        talked_of.append(choose(list(links)))
    first = talked_of[-1] if chance.random() < TOPIC_SHARE else choose(list(links))
    heapq.heappush(views, (arrival, f"198.51.100.{visitor % 254 + 1}", first, "-"))

for _ in range(VIEWS):
    at, address, page, before = heapq.heappop(views)
    time = (BEGIN + timedelta(seconds=at)).strftime("%d/%b/%Y:%H:%M:%S %z")
    print(f'{address} - - [{time}] "GET /{page} HTTP/1.1" 200 {sizes[page]} "{before}" "-"')
    if links[page] and chance.random() < 0.5:
        heapq.heappush(views, (at + chance.uniform(3, 40), address, choose(links[page]), f"/{page}"))
