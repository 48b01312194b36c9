"""What the console's pages work with, handed in by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.web.limits import RateLimit
from bot.handover import Handovers
from bot.reviewing.accounts import Accounts
from bot.reviewing.cases import Cases
from bot.reviewing.curated import CuratedAnswers
from bot.reviewing.erase import Eraser
from bot.reviewing.faq import FaqDesk
from bot.reviewing.figures import Figures
from bot.reviewing.filing import Filing
from bot.reviewing.verdicts import Review
from bot.reviewing.views import Views
from bot.store import Store
from bot.types import Answerer

LOGINS_PER_ACCOUNT = 6  # a minute; a person mistypes, a program guesses
LOGINS_PER_ADDRESS = 30


@dataclass(frozen=True, slots=True)
class Office:
    """Everything behind the pages."""

    title: str
    public_url: str
    secure: bool  # reached by https
    store: Store
    accounts: Accounts
    filing: Filing
    cases: Cases
    figures: Figures
    views: Views
    review: Review
    curated: CuratedAnswers
    eraser: Eraser
    handovers: Handovers
    answerer: Answerer
    faq: FaqDesk
    logins: RateLimit
    logins_by_address: RateLimit
