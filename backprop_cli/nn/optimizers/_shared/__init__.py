"""What several optimizers share: no optimizer is declared here."""
