import Foundation
import Testing

/// The plugin of `docs/writing-a-plugin.md` and its tests, as their readers would use them.
@Suite struct ExampleTests {
    @Test(arguments: ["CeilingPlugin.swift", "CeilingTests.swift"])
    func theDocumentationShowsTheFilesThatAreTestedHere(file: String) throws {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/writing-a-plugin.md"), encoding: .utf8)
        let code = try String(contentsOf: here.appending(path: file), encoding: .utf8)
        #expect(page.contains("```swift\n" + code + "```"))
    }
}
