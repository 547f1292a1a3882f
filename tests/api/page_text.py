"""What a page says, as text, and the commands on it."""

import html
import re
import shlex

from api.security import HEADERS


def text_of(response, status=200):
    assert response.status_code == status, response.text
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    return response.text


def commands_of(page):
    return [html.unescape(re.sub("<[^>]+>", "", code)) for code in re.findall("<code[^>]*>(.*?)</code>", page)]


def words_of_command(page, start):
    """The words of the one command on the page that begins like this."""
    (command,) = {command for command in commands_of(page) if command.startswith(start)}
    return shlex.split(command)
