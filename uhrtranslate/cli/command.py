"""A command that knows by meaning which option people want, whatever other tools call it."""

from typing import Any

from typer.core import TyperCommand

from uhrtranslate.options.habits import POSITIONAL, as_flag, meant


class Command(TyperCommand):
    """A command whose error about an unknown option names the one that means the same."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # By name, as typer has click inside of it, or beside it, depending on its version.
            name = getattr(error, "option_name", None)
            if type(error).__name__ != "NoSuchOption" or name is None:
                raise
            if told := self._meaning(name):
                error.message = f"No such option: {name}; {told}"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise

    def _meaning(self, name: str) -> str | None:
        offered = {str(one.name) for one in self.params}
        # Python's own words are not names of parameters.
        offered |= {opt[2:].replace("-", "_") for one in self.params for opt in one.opts}
        found = [as_flag(one) for one in meant(name, offered)]
        if found:
            return f"here it is {' or '.join(found)}."
        if self.name == "train":
            return _of_training(name)
        plain = name.lstrip("-").replace("-", "_").lower()
        if plain in POSITIONAL and any(one.param_type_name == "argument" for one in self.params):
            return "name inputs without an option, as in: uhrt COMMAND slide.svs."
        return None


def _of_training(name: str) -> str | None:
    """An option of the configuration file, which `--set` replaces."""
    from uhrtranslate.training.configuration import option_names
    from uhrtranslate.training.options import GanOptions

    every = option_names(GanOptions)
    plain = name.lstrip("-").replace("-", "_").lower()
    found = [plain] if plain in every else meant(name, every)
    if not found:
        return None
    return f"it is an option of the configuration file: --set {found[0]}=VALUE."
