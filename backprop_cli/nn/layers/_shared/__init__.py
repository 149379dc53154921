"""What several layers share: no layer is declared here."""
