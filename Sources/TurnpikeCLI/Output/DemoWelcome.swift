/// What a demo prints when it is ready: commands that work when they are pasted.
struct DemoWelcome {
    let address: String
    let key: String
    let demo: DemoConfiguration

    var text: String {
        """
        Turnpike is ready.

          base URL   \(address)/v1
          key        \(key)
          model      \(demo.model)\(demo.isEcho ? "   (a built-in provider that repeats what it was sent)" : "")
          data       \(demo.data)/

        Ask with curl; send it twice, or change the words, and the session remembers:

        curl \(address)/v1/chat/completions \\
          -H "Authorization: Bearer \(key)" \\
          -H "Content-Type: application/json" -H "X-Session-ID: first" \\
          -d '{"model": "\(demo.model)", "messages": [{"role": "user", "content": "My name is Ada."}]}'

        Ask with Python (pip install openai):

        from openai import OpenAI
        client = OpenAI(base_url="\(address)/v1", api_key="\(key)")
        for text in ["My code word is PLUM.", "What is my code word?"]:
            answer = client.chat.completions.create(model="\(demo.model)",
                messages=[{"role": "user", "content": text}], extra_headers={"X-Session-ID": "second"})
            print(answer.choices[0].message.content)

        Ctrl-C ends it.
        """
    }
}
