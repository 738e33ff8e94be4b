"""A `Scraper` that asks no pod; verified by the contract tests of the real one."""

from analyzer.ports import ProviderError
from canary.counting.series import Series


class FakeScraper:
    """Answers with the series that were put on a page; a page that nobody made cannot be had.

    `asked` holds each address, in order.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._pages: dict[str, tuple[Series, ...] | ProviderError] = {}

    def page(self, url: str, page: tuple[Series, ...] | ProviderError) -> None:
        """Set what a page has from now on; an error is raised."""
        self._pages[url] = page

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        """Answer as a scraper does."""
        del owner
        self.asked.append(url)
        page = self._pages.get(url, ProviderError(f"the pod at {url} cannot be reached"))
        if isinstance(page, ProviderError):
            raise page
        return tuple(series for series in page if series.labels["__name__"] in names)
