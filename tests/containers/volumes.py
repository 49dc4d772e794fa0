"""Volumes as a kubelet lays them out: who owns them, and how ConfigMaps and Secrets change under a running pod."""

import itertools
import os
import pathlib
import shutil

_numbers = itertools.count(1)


def directory(path, group, mode):
    """A volume's folder that belongs to root and the pod's fsGroup (None: to root's group, with room for everybody)."""
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, 0, group or 0)
    path.chmod(mode if group else 0o777)
    return path


class Projected:
    """A ConfigMap's or Secret's volume: files are links through `..data`, which is replaced as a whole."""

    def __init__(self, path, group, mode):
        self.path, self.group, self.mode = directory(path, group, 0o2777), group or 0, mode

    def write(self, items):
        """Makes the items (name to bytes) the content; nothing happens if they are already."""
        data = self.path / "..data"
        if data.is_symlink() and {path.name: path.read_bytes() for path in data.iterdir()} == items:
            return
        old = data.resolve() if data.is_symlink() else None
        folder = self.path / f"..2026_01_01_00_00_00.{next(_numbers)}"
        folder.mkdir()
        os.chown(folder, 0, self.group)
        folder.chmod(0o2755)
        for name, content in items.items():
            (folder / name).write_bytes(content)
            os.chown(folder / name, 0, self.group)
            (folder / name).chmod(self.mode)
        link = self.path / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(data)
        for name in items:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        for path in self.path.iterdir():
            if not path.name.startswith("..") and path.name not in items:
                path.unlink()
        if old:
            shutil.rmtree(old)
