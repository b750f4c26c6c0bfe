package vector

import (
	"encoding/json"
	"fmt"
)

// NewOpenAI returns an Embedder that asks a server with OpenAI's embeddings
// interface: POST BaseURL/embeddings. Many servers have it, such as llama.cpp,
// LM Studio, LiteLLM, vLLM and Text Embeddings Inference. An invalid
// configuration gives [ErrInvalid].
func NewOpenAI(c Config) (*Remote, error) {
	return newRemote(c, dialect{
		provider: "openai",
		path:     "embeddings",
		request:  openAIRequest,
		response: openAIResponse,
		base:     "https://api.openai.com/v1",
		notFound: "check the model's name, and that the base URL ends before /embeddings, as in https://api.openai.com/v1",
	})
}

func openAIRequest(c *Config, texts []string) any {
	var dimensions int
	if c.SendDim {
		dimensions = c.Dim
	}
	return struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Format     string   `json:"encoding_format"`
		Dimensions int      `json:"dimensions,omitempty"`
	}{c.Model, texts, "float", dimensions}
}

// openAIResponse puts the vectors in the order that their indexes say; nothing
// promises that the list has it.
func openAIResponse(body []byte) (vecs [][]float32, problem string) {
	var answer struct {
		Data []struct {
			Index     *int      `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, "the answer is not JSON with a list of embeddings"
	}
	vecs = make([][]float32, len(answer.Data))
	seen := make([]bool, len(answer.Data))
	for _, d := range answer.Data {
		if d.Index == nil || *d.Index < 0 || *d.Index >= len(vecs) || seen[*d.Index] {
			return nil, fmt.Sprintf("the indexes of %d embeddings are not 0 to %d", len(vecs), len(vecs)-1)
		}
		vecs[*d.Index], seen[*d.Index] = d.Embedding, true
	}
	return vecs, ""
}
