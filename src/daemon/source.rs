//! The event sources of the loop, and the tokens by which mio names them.
//!
//! A token is decoded once, when its event arrives. Each team owns a block of tokens; the block
//! and the place in the block name the source.

use std::ops::Range;

use mio::Token;

use crate::control::UsockServer;

/// Token of the timer that only wakes the loop; no source has it.
pub(super) const WAKE_TIMER: Token = Token(5);

/// Tokens of a team.
const TEAM_TOKENS: usize = 1 << 16;
/// Tokens of a team's data path, the last of the team's block.
pub(super) const DATA_PATH_TOKENS: usize = 1 << 15;

/// Places in the block of a team.
const USOCK: usize = 0;
const DBUS: usize = USOCK + UsockServer::TOKENS;
const PORT_SOCKETS: usize = 1 << 14;
const TIPC: usize = DATA_PATH - 1;
const DATA_PATH: usize = TEAM_TOKENS - DATA_PATH_TOKENS;
const _: () = assert!(DBUS < PORT_SOCKETS);

/// A source of events that wake the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Signals that end the daemon.
    Signals,
    /// Link and address events of rtnetlink.
    LinkEvents,
    /// A resolver thread has an answer.
    Resolver,
    /// Programs tell of the first frames of teams after a pause.
    FramesMoved,
    /// Files of the directory of configurations changed.
    Directory,
    /// A source of one team.
    Team(TeamId, TeamSource),
}

/// The sources of the process, by token.
const OF_ALL_TEAMS: [Source; 5] =
    [Source::Signals, Source::LinkEvents, Source::Resolver, Source::FramesMoved, Source::Directory];

/// A source of one team; those with many sockets keep the token, by which they find the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TeamSource {
    /// The control socket and its clients.
    Usock(Token),
    /// The connection to the system bus.
    Dbus,
    /// The control socket of a port.
    PortSocket(Token),
    /// The subscription to TIPC's links.
    Tipc,
    /// The data path.
    DataPath(Token),
}

/// A team of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TeamId(usize);

impl Source {
    /// Returns the token to register the source with.
    pub fn token(self) -> Token {
        match self {
            Source::Signals => Token(0),
            Source::LinkEvents => Token(1),
            Source::Resolver => Token(2),
            Source::FramesMoved => Token(3),
            Source::Directory => Token(4),
            Source::Team(team, TeamSource::Dbus) => Token(team.block() + DBUS),
            Source::Team(team, TeamSource::Tipc) => Token(team.block() + TIPC),
            Source::Team(_, TeamSource::Usock(token))
            | Source::Team(_, TeamSource::PortSocket(token))
            | Source::Team(_, TeamSource::DataPath(token)) => token,
        }
    }

    /// Returns the source of a token; `None` for a token that no source has.
    pub fn decode(token: Token) -> Option<Source> {
        let (block, place) = (token.0 / TEAM_TOKENS, token.0 % TEAM_TOKENS);
        if block == 0 {
            return OF_ALL_TEAMS.get(place).copied();
        }
        let source = match place {
            USOCK..DBUS => TeamSource::Usock(token),
            DBUS => TeamSource::Dbus,
            PORT_SOCKETS..TIPC => TeamSource::PortSocket(token),
            TIPC => TeamSource::Tipc,
            DATA_PATH.. => TeamSource::DataPath(token),
            _ => return None,
        };
        Some(Source::Team(TeamId(block), source))
    }

    /// Returns whether the source brings control frames or what changes their meaning, which the
    /// loop reads before bulk traffic.
    pub fn is_urgent(self) -> bool {
        matches!(self, Source::Team(_, TeamSource::PortSocket(_) | TeamSource::Tipc))
    }

    /// Returns whether the source brings control frames or traffic.
    pub fn brings_frames(self) -> bool {
        self.is_urgent() || matches!(self, Source::Team(_, TeamSource::DataPath(_)))
    }
}

impl TeamId {
    /// The first team of a process.
    pub const FIRST: TeamId = TeamId(1);

    /// Returns the id after this one.
    pub fn next(self) -> TeamId {
        TeamId(self.0 + 1)
    }

    fn block(self) -> usize {
        self.0 * TEAM_TOKENS
    }

    /// Returns the first token of the control socket.
    pub fn usock(self) -> Token {
        Token(self.block() + USOCK)
    }

    /// Returns the tokens of the ports' control sockets.
    pub fn port_sockets(self) -> Range<usize> {
        self.block() + PORT_SOCKETS..self.block() + TIPC
    }

    /// Returns the first of the [`DATA_PATH_TOKENS`] of the data path.
    pub fn data_path(self) -> usize {
        self.block() + DATA_PATH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_decodes_to_the_source_that_registers_it() {
        let team = TeamId::FIRST.next();
        let first_port = Token(team.port_sockets().start);
        let last_port = Token(team.port_sockets().end - 1);
        let last = Token(team.data_path() + DATA_PATH_TOKENS - 1);
        let of_team = [
            TeamSource::Usock(team.usock()),
            TeamSource::Usock(Token(team.block() + DBUS - 1)),
            TeamSource::Dbus,
            TeamSource::PortSocket(first_port),
            TeamSource::PortSocket(last_port),
            TeamSource::Tipc,
            TeamSource::DataPath(Token(team.data_path())),
            TeamSource::DataPath(last),
        ];
        let of_team = of_team.map(|source| Source::Team(team, source));
        for source in OF_ALL_TEAMS.into_iter().chain(of_team) {
            assert_eq!(Source::decode(source.token()), Some(source));
        }
        assert_eq!(Source::decode(WAKE_TIMER), None);
        assert_eq!(Source::decode(Token(first_port.0 - 1)), None);
        let next = Source::decode(Token(last.0 + 1));
        let usock = TeamSource::Usock(team.next().usock());
        assert_eq!(next, Some(Source::Team(team.next(), usock)));
    }
}
