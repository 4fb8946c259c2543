//! `rialto top`: live books in the terminal, followed through the journal.

use std::time::Duration;

use journal::StreamReader;
use machine::Projection;
use marketdata::{BookView, DepthBook};
use protocol::Limits;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Table, Tabs};

use crate::cli::TopArgs;
use crate::folder;
use crate::output::{Failure, line};

/// How long the screen waits for a key before it looks at the journal again.
const REFRESH: Duration = Duration::from_millis(100);

/// Trades kept for each instrument, at least a screenful.
const TAPE_LENGTH: usize = 128;

/// Most events folded between two looks at the keyboard, so that keys work while a long journal is read.
const EVENTS_PER_ROUND: usize = 200_000;

/// Runs the command.
///
/// # Errors
/// No journal, damage in it, or no terminal.
pub fn run(args: &TopArgs) -> Result<(), Failure> {
    let Some(limits) = folder::limits(&args.data)? else {
        let data = args.data.display();
        return Err(Failure::usage(format!(
            "{data} holds no journal: start `rialto serve --demo`, or name its data folder with --data"
        )));
    };
    let mut screen = Screen::open(args, &limits)?;
    if args.once {
        while screen.follow()? {}
        return screen.print(args.symbol.as_deref());
    }
    let mut terminal = ratatui::try_init().map_err(|error| {
        Failure::usage(format!(
            "no terminal to draw on ({error}); `rialto top --once` prints the books as text"
        ))
    })?;
    let outcome = screen.show(&mut terminal);
    ratatui::restore();
    outcome
}

/// Style of a table's first row.
const HEADER: Style = Style::new().add_modifier(Modifier::BOLD);

struct Screen {
    reader: StreamReader,
    books: DepthBook,
    /// Symbol to show as soon as it exists.
    wanted: Option<String>,
    /// Which instrument is shown, by position.
    selected: usize,
}

impl Screen {
    fn open(args: &TopArgs, limits: &Limits) -> Result<Self, Failure> {
        let reader = StreamReader::open(&args.data.join(journal::EVENTS_FOLDER)).map_err(Failure::system)?;
        Ok(Self {
            reader,
            books: DepthBook::new(limits, TAPE_LENGTH),
            wanted: args.symbol.clone(),
            selected: 0,
        })
    }

    /// Folds what has arrived; `true` if there may be more at once.
    fn follow(&mut self) -> Result<bool, Failure> {
        for _ in 0..EVENTS_PER_ROUND {
            match self.reader.next().map_err(Failure::system)? {
                Some(event) => self.books.apply(event),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn views(&self, depth: usize) -> Vec<BookView> {
        self.books.instruments().filter_map(|instrument| self.books.snapshot(instrument, depth)).collect()
    }

    fn print(&self, symbol: Option<&str>) -> Result<(), Failure> {
        let views = self.views(10);
        let mut shown =
            views.iter().filter(|view| symbol.is_none_or(|wanted| wanted == view.name)).peekable();
        if shown.peek().is_none() {
            let names = views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("no such instrument; there are: {names}")));
        }
        for view in shown {
            for text in marketdata::render_lines(view, 100, 13) {
                line(text);
            }
            line("");
        }
        Ok(())
    }

    fn show(&mut self, terminal: &mut ratatui::DefaultTerminal) -> Result<(), Failure> {
        loop {
            let behind = self.follow()?;
            let views = self.views(64);
            if let Some(position) =
                self.wanted.as_ref().and_then(|name| views.iter().position(|it| it.name == *name))
            {
                self.selected = position;
                self.wanted = None;
            }
            self.selected = self.selected.min(views.len().saturating_sub(1));
            let selected = self.selected;
            terminal.draw(|frame| draw(frame, &views, selected, behind)).map_err(Failure::system)?;
            let wait = if behind { Duration::ZERO } else { REFRESH };
            if !event::poll(wait).map_err(Failure::system)? {
                continue;
            }
            let Event::Key(key) = event::read().map_err(Failure::system)? else { continue };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Right | KeyCode::Tab => self.selected = (self.selected + 1) % views.len().max(1),
                KeyCode::Left | KeyCode::BackTab => {
                    self.selected = self.selected.checked_sub(1).unwrap_or(views.len().saturating_sub(1));
                }
                _ => {}
            }
        }
    }
}

fn draw(frame: &mut Frame<'_>, views: &[BookView], selected: usize, behind: bool) {
    let [head, figures, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let tabs = Tabs::new(views.iter().map(|view| view.name.clone())).select(selected);
    frame.render_widget(tabs.highlight_style(Style::new().add_modifier(Modifier::REVERSED)), head);
    let Some(view) = views.get(selected) else {
        frame.render_widget(Paragraph::new("No instrument yet."), body);
        return;
    };
    frame.render_widget(Paragraph::new(figures_line(view)), figures);
    let [book, tape] = Layout::horizontal([Constraint::Min(60), Constraint::Max(44)]).areas(body);
    let [bids, asks] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(book);
    draw_side(frame, bids, view, Color::Green);
    draw_side(frame, asks, view, Color::Red);
    draw_tape(frame, tape, view);
    let note = if behind { "reading the journal ..." } else { "left/right: instrument   q: leave" };
    frame.render_widget(Paragraph::new(note).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn figures_line(view: &BookView) -> Line<'static> {
    let dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let auction = view.indicative.as_ref().map_or(String::new(), |it| {
        format!(" {} x {} imbalance {}", dash(&it.price), it.quantity, it.imbalance)
    });
    let phase = match view.phase {
        protocol::Phase::Continuous => String::new(),
        phase => format!("{}{auction}  ", phase.name()),
    };
    Line::from(vec![
        Span::styled(phase, bold.fg(Color::Yellow)),
        Span::styled(format!("last {}", dash(&view.last)), bold),
        Span::raw(format!(
            "  spread {}  open {}  high {}  low {}  volume {}  trades {}  sequence {}",
            dash(&view.spread),
            dash(&view.open),
            dash(&view.high),
            dash(&view.low),
            view.volume,
            view.trade_count,
            view.sequence
        )),
    ])
}

fn draw_side(frame: &mut Frame<'_>, area: Rect, view: &BookView, color: Color) {
    let bids = color == Color::Green;
    let (title, levels) = if bids { (" Bids ", &view.bids) } else { (" Asks ", &view.asks) };
    let rows = levels.iter().map(|level| {
        let orders = level.orders.to_string();
        Row::new([level.price.clone(), level.quantity.clone(), orders]).style(Style::new().fg(color))
    });
    let widths = [Constraint::Fill(2), Constraint::Fill(2), Constraint::Length(6)];
    let table = Table::new(rows, widths).header(Row::new(["price", "quantity", "orders"]).style(HEADER));
    frame.render_widget(table.block(Block::bordered().title(title)), area);
}

fn draw_tape(frame: &mut Frame<'_>, area: Rect, view: &BookView) {
    let rows = view.trades.iter().map(|trade| {
        let bought = trade.raw.taker_side == protocol::Side::Buy;
        let style = Style::new().fg(if bought { Color::Green } else { Color::Red });
        let style = if trade.raw.busted { style.add_modifier(Modifier::CROSSED_OUT) } else { style };
        Row::new([trade.time.clone(), trade.price.clone(), trade.quantity.clone()]).style(style)
    });
    let widths = [Constraint::Length(12), Constraint::Fill(1), Constraint::Fill(1)];
    let table = Table::new(rows, widths).header(Row::new(["time (UTC)", "price", "quantity"]).style(HEADER));
    frame.render_widget(table.block(Block::bordered().title(" Trades ")), area);
}
