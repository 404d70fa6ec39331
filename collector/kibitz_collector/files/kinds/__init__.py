"""What each kind of File is made of: pure rules, one module per kind."""
