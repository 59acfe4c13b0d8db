"""What describes a dataset under names: tags, annotations and overlays."""

# The plural, which is the name of a directory and of a field, and the word for one.
ENTRIES = {"tags": "tag", "annotations": "annotation", "overlays": "overlay"}
