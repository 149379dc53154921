"""What pyproject.toml cannot say: a wheel has the ready configurations and their data, as ``backprop_cli/ready``.

Packages mapped to the two folders would do the same without code. But an editable install would then need an import
hook, which type checkers do not follow.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

READY = ("configs/**/*.yaml", "configs/**/*.py", "datasets/*.*")


class BuildWithReady(build_py):
    """The package, with copies of the two folders in it."""

    def build_package_data(self) -> None:
        super().build_package_data()
        for source in sorted(path for pattern in READY for path in Path().glob(pattern)):
            target = Path(self.build_lib, "backprop_cli", "ready", source)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": BuildWithReady})
