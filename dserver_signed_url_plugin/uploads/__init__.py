"""The life of an upload: announce, complete, look at, cancel, clean up."""
