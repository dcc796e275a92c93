/* What event-ruler, the engine that AWS publishes, says: lines of PATTERN TAB EVENT in, verdicts out. */
import java.io.*;
import java.nio.charset.StandardCharsets;
import software.amazon.event.ruler.*;
public class Ruler {
    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out), false, "UTF-8");
        for (String line; (line = in.readLine()) != null; ) {
            int tab = line.indexOf('\t');
            String pattern = line.substring(0, tab), event = line.substring(tab + 1), answer;
            try {
                String bad = JsonRuleCompiler.check(pattern);
                if (bad != null) {
                    answer = "invalid " + bad.replace('\n', ' ');
                } else {
                    Machine machine = new Machine();
                    machine.addRule("rule", pattern);
                    answer = machine.rulesForJSONEvent(event).isEmpty() ? "nomatch" : "match";
                }
            } catch (Exception e) {
                answer = "invalid " + e.getMessage();
            }
            out.println(answer);
        }
        out.flush();
    }
}
