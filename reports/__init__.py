"""Tables and figures drawn from recorded result files; nothing here measures."""
