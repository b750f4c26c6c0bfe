-- starter: an agent that remembers notes and keeps secrets out.

-- Remembers a text and links it to the memory that it resembles most.
function tool_note(params)
  local text = params.text:match("^%s*(.-)%s*$")
  if text == "" then error("text is empty", 0) end
  local hits = engram.search { query = text, limit = 1 }
  local made = engram.create { content = text, kind = config.kind }
  local out = { id = made.id }
  if hits[1] and hits[1].id ~= made.id then
    out.resembles = hits[1].id
    engram.link(made.id, hits[1].id, "resembles", 0.5)
  end
  globals.notes = (globals.notes or 0) + 1
  out.number = globals.notes
  log("note", globals.notes)
  return out
end

-- A hook: it sees what is about to be remembered and may refuse it.
function tool_check(call)
  for _, e in ipairs(call.args.engrams) do
    if e.content:find(config.refuse, 1, true) then
      return { refuse = "it holds the word " .. config.refuse }
    end
  end
  return {}
end
