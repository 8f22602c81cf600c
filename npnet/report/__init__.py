"""Findings to text, HTML, JSON lines and scripts. Formats, decides nothing.

report.save("out")                        # results.jsonl, index.html, failures/<id>/
run(affine, on_event=files.Writer(path))  # the same, written as it happens
"""
