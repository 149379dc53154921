"""What several losses share: no loss is declared here."""
