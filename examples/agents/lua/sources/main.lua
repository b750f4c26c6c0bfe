-- Who has said how much about something, so that a model reads five lines
-- instead of two hundred hits.

function tool_count(params)
  local hits = engram.search { query = params.query, limit = 200 }

  local count = {}
  for _, hit in ipairs(hits) do
    local source = hit.source ~= "" and hit.source or "unknown"
    count[source] = (count[source] or 0) + 1
  end

  local list = json.array()
  for source, n in pairs(count) do list[#list + 1] = { source = source, hits = n } end
  table.sort(list, function(a, b) return a.hits > b.hits or a.hits == b.hits and a.source < b.source end)

  return { hits = #hits, sources = json.array(table.move(list, 1, params.top or 5, 1, {})) }
end
