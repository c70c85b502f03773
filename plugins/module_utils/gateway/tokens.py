# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter in HAProxy that reads what a stream tells of its tokens, while each piece goes on as it comes. All pure.

For HAProxy 2.6 and newer. What a model writes is in JSON's strings, where a quote has a backslash before it: it cannot
pass for the engine's own words.
"""

from __future__ import annotations

from collections.abc import Iterable

FILE = "tokens.lua"
NAME = "tokens"
# What OpenAI's and Anthropic's answers call them.
USAGE = {"in": ("prompt_tokens", "input_tokens"), "out": ("completion_tokens", "output_tokens")}


def _takes(way: str, names: Iterable[str]) -> str:
    found = " or ".join(f"""usage:match('"{name}"%s*:%s*(%d+)')""" for name in names)
    # Where a stream begins, none are out yet.
    return f"""      local {way}_ = {found}
      if {way}_ and {way}_ ~= "0" then txn:set_var("txn.tokens_{way}", tonumber({way}_)) end
"""


def program() -> str:
    """Return the filter, which sets txn.tokens_in and txn.tokens_out to what was told last, where txn.stream is set."""
    told = "".join(_takes(way, names) for way, names in USAGE.items())
    return f"""-- Made by inference.fleet's role gateway; changes by hand are lost.
local Tokens = {{ id = "tokens of streams", flags = filter.FLT_CFG_FL_HTX }}
Tokens.__index = Tokens

function Tokens:new()
  return setmetatable({{ kept = "" }}, Tokens)
end

function Tokens:start_analyze(txn, channel)
end

function Tokens:http_headers(txn, message)
  if message:is_resp() and txn:get_var("txn.stream") then
    filter.register_data_filter(self, message.channel)
  end
end

local function look(self, txn, message)
  local text = message:body()
  if not text then
    return
  end
  if self.kept ~= "" then
    text = self.kept .. text
  end
  -- An event may come in pieces. It ends with a line.
  self.kept = text:byte(-1) == 10 and "" or text:sub(-8192)
  if text:find('"usage"', 1, true) then
    for usage in text:gmatch('"usage"%s*:%s*(%b{{}})') do
{told}    end
  end
end

-- What it returns nothing for goes on at once, whole. A fault in here is no reason to cut an answer off.
function Tokens:http_payload(txn, message)
  pcall(look, self, txn, message)
end

core.register_filter("{NAME}", Tokens, function(filter, arguments)
  return filter
end)
"""
