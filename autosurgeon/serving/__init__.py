"""A client of OpenAI's completions protocol: for vLLM, SGLang, llama.cpp, or the user's own runtime."""
