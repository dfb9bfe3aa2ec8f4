// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

import {SystemConfig} from "./SystemConfig.sol";

/// @title Inbox
/// @notice Fixes the order of a cluster's segments. Several posters send them at once and in any order; each index is
///         used once, and a leader of an older term cannot post any more.
///         Invariant: `nextIndex` is the lowest index not posted, everything posted lies below `nextIndex + WINDOW`,
///         and the term never falls. What the bytes mean is for derivation to say; any bytes are accepted.
contract Inbox is Initializable {
    /// @dev The sender is not registered as a poster.
    error NotPoster(address caller);
    /// @dev Only the cluster's SystemConfig may change posters.
    error NotSystemConfig(address caller);
    /// @dev Only the cluster's operator may publish its genesis.
    error NotOperator(address caller);
    /// @dev Only the sequencer may advance the term.
    error NotSequencer(address caller);
    /// @dev A later leader has posted or advanced the term.
    error StaleTerm(uint64 given, uint64 current);
    /// @dev A term must not leap so far that a faulty poster could use up all terms.
    error TermLeap(uint64 given, uint64 current, uint64 maxStep);
    /// @dev A segment with this index was posted before.
    error AlreadyPosted(uint64 index);
    /// @dev The index is too far ahead of the first gap.
    error IndexTooFar(uint64 index, uint64 limit);
    /// @dev A segment must hold at least one block.
    error EmptyRange(uint64 firstBlock, uint64 lastBlock);
    /// @dev The transaction carries no blobs.
    error NoBlobs();
    /// @dev Data must be the input of a transaction of a plain account, so that nodes find it there.
    error NotTransactionInput(address caller);
    /// @dev Segments come after the genesis.
    error GenesisMissing();
    /// @dev The genesis is published once.
    error GenesisExists(bytes32 genesisHash);
    /// @dev There is nothing to publish.
    error EmptyGenesis();
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    string public constant version = "1.0.0";
    /// @notice How far ahead of the first gap segments may be posted. One word has a bit for each.
    uint64 public constant WINDOW = 256;
    /// @notice How far a term may rise at once.
    uint64 public constant MAX_TERM_STEP = 1_000_000;
    /// @notice Kinds of segments: in the blobs of the transaction, or in its calldata.
    uint8 public constant KIND_BLOBS = 0;
    uint8 public constant KIND_CALLDATA = 1;

    /// @notice Term below which nothing is accepted.
    uint64 public currentTerm;
    /// @notice Lowest index not posted.
    uint64 public nextIndex;
    /// @notice One above the highest index posted.
    uint64 public endIndex;
    /// @notice L1 block in which the genesis was published; zero until then. Segments may be posted from it on, deposits
    ///         are derived from the block after it. Beside the counters, so that a post reads them all at once.
    uint64 public genesisBlock;
    /// @dev Bit i: index `nextIndex + i` is posted. All zero unless `endIndex > nextIndex`.
    uint256 private _ahead;
    /// @notice Accounts that may post.
    mapping(address account => bool) public isPoster;
    /// @notice What was posted under an index: keccak256(abi.encode(index, term, firstBlock, lastBlock, kind, hashes)).
    mapping(uint64 index => bytes32) public segmentHash;
    /// @notice The cluster's parameters and roles.
    SystemConfig public systemConfig;
    /// @notice keccak256 of the genesis document; zero until published.
    bytes32 public genesisHash;

    /// @notice `hashes` are the versioned hashes of the blobs (kind 0) or the keccak256 of the data (kind 1).
    event SegmentPosted(
        uint64 indexed index,
        uint64 indexed term,
        address indexed poster,
        uint64 firstBlock,
        uint64 lastBlock,
        uint8 kind,
        bytes32[] hashes
    );
    event GenesisPublished(bytes data);
    event TermAdvanced(uint64 term, address indexed by);
    event PosterSet(address indexed poster, bool allowed);

    constructor() {
        _disableInitializers();
    }

    function initialize(SystemConfig systemConfig_, address[] calldata posters) external initializer {
        if (address(systemConfig_) == address(0)) revert ZeroAddress();
        systemConfig = systemConfig_;
        for (uint256 i = 0; i < posters.length; ++i) {
            _setPoster(posters[i], true);
        }
    }

    /// @notice Posts the blobs of this transaction as one segment.
    /// @param index Place in the order; the inbox takes each once.
    /// @param term  Term of the leader that made the segment.
    function postBlobs(uint64 index, uint64 term, uint64 firstBlock, uint64 lastBlock) external {
        uint256 count = 0;
        while (blobhash(count) != bytes32(0)) ++count;
        if (count == 0) revert NoBlobs();
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = blobhash(i);
        }
        _post(index, term, firstBlock, lastBlock, KIND_BLOBS, hashes);
    }

    /// @notice Posts `data` as one segment. The caller must be the transaction's own account, without code.
    function postCalldata(uint64 index, uint64 term, uint64 firstBlock, uint64 lastBlock, bytes calldata data)
        external
    {
        // An account with delegated code could be origin and caller and yet call from inside a transaction.
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotTransactionInput(msg.sender);
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = keccak256(data);
        _post(index, term, firstBlock, lastBlock, KIND_CALLDATA, hashes);
    }

    /// @notice Fences off older leaders without posting.
    function advanceTerm(uint64 term) external {
        if (msg.sender != systemConfig.sequencer()) revert NotSequencer(msg.sender);
        if (term <= currentTerm) revert StaleTerm(term, currentTerm);
        _raiseTerm(term, currentTerm);
    }

    /// @notice Publishes the cluster's genesis document, once, before all segments.
    function publishGenesis(bytes calldata data) external {
        if (msg.sender != systemConfig.operator()) revert NotOperator(msg.sender);
        if (genesisBlock != 0) revert GenesisExists(genesisHash);
        if (data.length == 0) revert EmptyGenesis();
        genesisBlock = uint64(block.number);
        genesisHash = keccak256(data);
        emit GenesisPublished(data);
    }

    /// @notice Allows or forbids an account to post. Called through the SystemConfig.
    function setPoster(address poster, bool allowed) external {
        if (msg.sender != address(systemConfig)) revert NotSystemConfig(msg.sender);
        _setPoster(poster, allowed);
    }

    /// @notice True when a segment with this index was posted.
    function isPosted(uint64 index) external view returns (bool) {
        if (index < nextIndex) return true;
        return index - nextIndex < WINDOW && _ahead & (1 << (index - nextIndex)) != 0;
    }

    function _post(
        uint64 index,
        uint64 term,
        uint64 firstBlock,
        uint64 lastBlock,
        uint8 kind,
        bytes32[] memory hashes
    ) private {
        if (!isPoster[msg.sender]) revert NotPoster(msg.sender);
        if (firstBlock > lastBlock) revert EmptyRange(firstBlock, lastBlock);
        if (genesisBlock == 0) revert GenesisMissing();
        uint64 current = currentTerm;
        if (term != current) {
            if (term < current) revert StaleTerm(term, current);
            _raiseTerm(term, current);
        }
        _take(index);
        segmentHash[index] = keccak256(abi.encode(index, term, firstBlock, lastBlock, kind, hashes));
        emit SegmentPosted(index, term, msg.sender, firstBlock, lastBlock, kind, hashes);
    }

    /// @dev Marks an index as posted and moves `nextIndex` over what is complete.
    function _take(uint64 index) private {
        uint64 next = nextIndex;
        if (index < next) revert AlreadyPosted(index);
        uint64 offset = index - next;
        if (offset >= WINDOW) revert IndexTooFar(index, next + WINDOW);

        // In order and nothing ahead: the word of bits is zero and stays so.
        if (offset == 0 && endIndex == next) {
            nextIndex = next + 1;
            endIndex = next + 1;
            return;
        }
        uint256 bits = _ahead;
        uint256 bit = 1 << offset;
        if (bits & bit != 0) revert AlreadyPosted(index);
        bits |= bit;
        if (index >= endIndex) endIndex = index + 1;
        if (offset == 0) {
            uint64 complete = 0;
            while (bits & 1 != 0) {
                bits >>= 1;
                ++complete;
            }
            nextIndex = next + complete;
        }
        _ahead = bits;
    }

    function _raiseTerm(uint64 term, uint64 current) private {
        if (term - current > MAX_TERM_STEP) revert TermLeap(term, current, MAX_TERM_STEP);
        currentTerm = term;
        emit TermAdvanced(term, msg.sender);
    }

    function _setPoster(address poster, bool allowed) private {
        if (poster == address(0)) revert ZeroAddress();
        isPoster[poster] = allowed;
        emit PosterSet(poster, allowed);
    }
}
