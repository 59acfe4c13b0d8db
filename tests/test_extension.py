"""What dserver's own `/config` routes say of this plugin."""

from __future__ import annotations

from importlib.metadata import version

from dservercore.config import Config

import dserver_signed_url_plugin


def test_the_version_of_this_plugin_is_shown(dserver):
    # The public web application offers downloads only where this value is true.
    versions = dserver.nobody.get("/config/versions").json["versions"]
    assert versions["dserver_signed_url_plugin"] == version("dserver-signed-url-plugin")
    assert dserver_signed_url_plugin.__version__


def test_two_apps_of_one_process_do_not_see_which_secrets_the_other_has(
    make_dserver_on, bucket, account
):
    before = list(Config.CONFIG_SECRETS_TO_OBFUSCATE)
    on_s3, on_azure = make_dserver_on(bucket), make_dserver_on(account)
    hidden = [set(each.app.config["CONFIG_SECRETS_TO_OBFUSCATE"]) for each in (on_s3, on_azure)]
    names = [f"DTOOL_S3_SECRET_ACCESS_KEY_{bucket.name}", f"DTOOL_AZURE_ACCOUNT_KEY_{account.name}"]
    assert [[name.upper() in each for name in names] for each in hidden] == [
        [True, False],
        [False, True],
    ]
    assert before == Config.CONFIG_SECRETS_TO_OBFUSCATE
    for each in (on_s3, on_azure):
        shown = each.alice.get("/config/info").text
        assert bucket.secret_key not in shown
        assert account.key not in shown
