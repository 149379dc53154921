"""The pages of ``docs/reference``, made from registries, settings, commands, errors and results."""
