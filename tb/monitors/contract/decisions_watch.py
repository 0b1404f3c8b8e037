"""What the monitors of section 10 have in common: books, and a method for each kind of record at the target's face."""

from __future__ import annotations

from tb.monitors.contract.connection_books import Book, Books
from tb.monitors.contract.connection_parts import Connection
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Enter, Frame, Leave, Record
from tb.monitors.wire_headers import WireSegment


class Watch(Monitor):
    """Looks at layer 0 with the books as they stand before the record."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()

    def observe(self, record: Record) -> None:
        """Check, then book."""
        book = self.books.of(record)
        if record.layer == 0:
            self.passes(record)
            if isinstance(record, Enter):
                self.enters(record, book)
            elif isinstance(record, Leave) and record.call in book.open:
                self.leaves(book.open[record.call], record, book)
            elif isinstance(record, Frame):
                found = book.of_frame(record)
                if found is not None:
                    self.frame(record, *found)
        self.books.take(record)

    def passes(self, record: Record) -> None:
        """Any record: time goes by."""

    def enters(self, record: Enter, book: Book) -> None:
        """A call begins."""

    def leaves(self, entered: Enter, record: Leave, book: Book) -> None:
        """A call returns."""

    def frame(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        """A frame of a connection."""
