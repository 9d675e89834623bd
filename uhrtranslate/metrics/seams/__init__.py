"""Whether tile borders show, with a reference or blind; arrays in, figures out."""
