"""Commands for operators: `flask pending_upload`, `signed_url`, `temp_share` and `lifecycle`.

They parse options, call the same services as the routes, and print the results.
"""
