//! x
use super::*;
#[test]
fn look() {
    for name in ["hello", "shop", "reference"] {
        let text = std::fs::read_to_string(format!("src/config/tests/corpus/{name}.yaml")).unwrap();
        let l = read(&text);
        println!("{name}: {:?}\n{}", l.config.is_some(), l.render(false));
        if name == "hello" { println!("{:#?}", l.config); }
    }
    println!("{}", super::super::reference());
}
