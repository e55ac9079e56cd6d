// Checks HTML with html-validate: a JSON object of pages by name on stdin, the findings on stdout.
import { readFileSync } from "node:fs";
import { HtmlValidate, StaticConfigLoader } from "html-validate";

const rules = JSON.parse(readFileSync(new URL("html.json", import.meta.url), "utf8"));
const judge = new HtmlValidate(new StaticConfigLoader(rules));
process.stdin.setEncoding("utf8");
let given = "";
for await (const piece of process.stdin) given += piece;
const found = {};
for (const [name, page] of Object.entries(JSON.parse(given))) {
  const report = await judge.validateString(page);
  found[name] = report.results.flatMap((result) =>
    result.messages.map((said) => `${said.line}:${said.column} ${said.ruleId}: ${said.message}`),
  );
}
process.stdout.write(JSON.stringify(found));
