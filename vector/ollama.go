package vector

import "encoding/json"

// NewOllama returns an Embedder that asks an Ollama server: POST
// BaseURL/api/embed. The model must have been pulled. An invalid configuration
// gives [ErrInvalid].
func NewOllama(c Config) (*Remote, error) {
	return newRemote(c, dialect{
		provider: "ollama",
		path:     "api/embed",
		request:  ollamaRequest,
		response: ollamaResponse,
		base:     "http://localhost:11434",
		notFound: "pull the model with `ollama pull`, and check that the base URL ends before /api, as in http://localhost:11434",
	})
}

func ollamaRequest(c *Config, texts []string) any {
	var dimensions int
	if c.SendDim {
		dimensions = c.Dim
	}
	return struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Truncate   bool     `json:"truncate"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{c.Model, texts, true, dimensions}
}

// ollamaResponse relies on the order of the list: the answer has no indexes.
func ollamaResponse(body []byte) (vecs [][]float32, problem string) {
	var answer struct {
		Embeddings [][]float32 `json:"embeddings"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, "the answer is not JSON with a list of embeddings"
	}
	return answer.Embeddings, ""
}
