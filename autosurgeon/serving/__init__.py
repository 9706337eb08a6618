"""Asking servers that speak OpenAI's completions protocol: vLLM, SGLang, llama.cpp, or the user's own runtime."""
