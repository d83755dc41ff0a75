"""Template sync: what WeChat has, mirrored here; never deletes."""
