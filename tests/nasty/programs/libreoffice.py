"""python3 libreoffice.py <jobs>, with Debian's python3-uno. What a job and an answer look like: see readers.py."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uno  # type: ignore[import-not-found]
from com.sun.star.beans import PropertyValue  # type: ignore[import-not-found]
from com.sun.star.connection import NoConnectException  # type: ignore[import-not-found]

COLUMNS = 20
CHARSETS = {"UTF-8": 76, "UTF-16": 65535, "Windows-1252": 1, "ISO-8859-1": 12}


def main(jobs: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nasty-office-", ignore_cleanup_errors=True) as profile:
        pipe = f"pipe,name={Path(profile).name};urp"
        office = subprocess.Popen(
            ["soffice", "--headless", "--norestore", f"--accept={pipe}", f"-env:UserInstallation=file://{profile}"],
            stdin=subprocess.DEVNULL,
        )
        try:
            desktop = connect(pipe)
            for job in jobs.read_text(encoding="utf-8").splitlines():
                source, target, code, encoding, *_ = job.split("\t")
                try:
                    answer = dump(read(desktop, source, code, encoding))
                except Exception as error:  # noqa: BLE001
                    answer = f"E{error}".encode()
                Path(target).write_bytes(answer)
            desktop.terminate()
            office.wait(60)
        finally:
            office.kill()


def connect(pipe: str) -> Any:
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
    for _ in range(240):
        try:
            remote = resolver.resolve(f"uno:{pipe};StarOffice.ComponentContext")
        except NoConnectException:
            time.sleep(0.25)
        else:
            return remote.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", remote)
    raise TimeoutError("LibreOffice did not start")


def read(desktop: Any, source: str, delimiter: str, encoding: str) -> Any:
    texts = "/".join(f"{n}/2" for n in range(1, COLUMNS + 1))  # every column as text
    settings = {
        "Hidden": True,
        "FilterName": "Text - txt - csv (StarCalc)",
        "FilterOptions": f"{delimiter},34,{CHARSETS[encoding]},1,{texts},1033,true,false,false",
    }
    document = desktop.loadComponentFromURL(
        Path(source).as_uri(), "_blank", 0, tuple(PropertyValue(name, 0, value, 0) for name, value in settings.items())
    )
    try:
        sheet = document.Sheets.getByIndex(0)
        cursor = sheet.createCursor()
        cursor.gotoEndOfUsedArea(False)
        end = cursor.RangeAddress
        return sheet.getCellRangeByPosition(0, 0, end.EndColumn, end.EndRow).getDataArray()
    finally:
        document.close(True)


def dump(rows: Any) -> bytes:
    found = bytearray()
    for row in rows:
        for cell in row:
            text = str(cell).encode()
            found += b"%d:%b" % (len(text), text)
        found += b"\n"
    return bytes(found)


main(Path(sys.argv[1]))
