"""A picture of a page of a report, as a browser shows or prints it.

    xvfb-run -a python benchmarks/page_picture.py film.html film.png [--height 1800] [--print]

``--print`` writes a PDF and a picture of each of its pages.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PySide6.QtCore import QEventLoop, QMarginsF, QSize, QTimer, QUrl
from PySide6.QtGui import QImage, QPageLayout, QPageSize, QPainter
from PySide6.QtPdf import QPdfDocument
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

WIDTH = 1180


def load(page: Path, height: int) -> QWebEngineView:
    view = QWebEngineView()
    view.resize(WIDTH, height)
    view.show()
    loop = QEventLoop()
    view.loadFinished.connect(lambda _: QTimer.singleShot(1500, loop.quit))
    view.load(QUrl.fromLocalFile(str(page.absolute())))
    loop.exec()
    return view


def print_pages(view: QWebEngineView, picture: Path) -> None:
    loop, pdf = QEventLoop(), picture.with_suffix(".pdf")
    view.page().pdfPrintingFinished.connect(loop.quit)
    paper = QPageLayout(QPageSize(QPageSize.PageSizeId.A4), QPageLayout.Orientation.Portrait, QMarginsF(40, 42, 40, 51))
    view.page().printToPdf(str(pdf), paper)
    loop.exec()
    document = QPdfDocument()
    document.load(str(pdf))
    for number in range(document.pageCount()):
        size = document.pagePointSize(number) * 1.6
        image = document.render(number, QSize(round(size.width()), round(size.height())))
        paged = QImage(image.size(), QImage.Format.Format_RGB32)
        paged.fill("white")
        painter = QPainter(paged)
        painter.drawImage(0, 0, image)
        painter.end()
        paged.save(str(picture.with_stem(f"{picture.stem}-{number + 1}")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--height", type=int, default=1800)
    parser.add_argument("--print", action="store_true")
    given = parser.parse_args()
    application = QApplication(["page"])
    view = load(given.page, given.height)
    if given.print:
        print_pages(view, given.picture)
    else:
        view.grab().save(str(given.picture))
    application.quit()


if __name__ == "__main__":
    main()
