"""What is made from the sources and shipped beside them: ``manifests/``, the table of values, both images.

Not part of any image; ``make`` is its only caller.
"""
