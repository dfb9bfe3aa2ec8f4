// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";

import {Types} from "../universal/Types.sol";

/// @title SheafOutputOracle
/// @notice List of output roots. A proposer appends; within the challenge period a challenger may cut the list. Block
///         times of a cluster are free, so a proposal is only checked to move forward by the submission interval, and
///         not against a time computed from its number.
///         Invariant: block numbers and times of the list increase; what is past the challenge period never changes.
contract SheafOutputOracle is OwnableUpgradeable {
    /// @dev Only the proposer may propose.
    error NotProposer(address caller);
    /// @dev Only the challenger may delete.
    error NotChallenger(address caller);
    /// @dev The zero root stands for none.
    error ZeroOutputRoot();
    /// @dev A proposal must be at or after the next block number.
    error BlockTooLow(uint256 given, uint256 next);
    /// @dev Block numbers are kept in 128 bits.
    error BlockTooHigh(uint256 given);
    /// @dev L1 reorganized since the proposer looked.
    error WrongL1Block(uint256 number, bytes32 expected, bytes32 actual);
    /// @dev There is no output at this index.
    error NoOutput(uint256 index, uint256 length);
    /// @dev The output is past the challenge period and final.
    error OutputFinal(uint256 index, uint256 finalSince);
    /// @dev A parameter is outside of its bounds.
    error OutOfBounds(bytes32 what, uint256 given, uint256 least, uint256 most);
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    string public constant version = "1.8.0";

    /// @notice Longest challenge period, in seconds.
    uint256 public constant MAX_FINALIZATION_PERIOD = 30 days;
    /// @notice Longest distance of two proposals, in blocks.
    uint256 public constant MAX_SUBMISSION_INTERVAL = 1_000_000;

    /// @notice Least distance of two proposals, in blocks.
    uint256 public submissionInterval;
    /// @notice Usual time between blocks in seconds; for estimates only.
    uint256 public l2BlockTime;
    /// @notice The challenge period, in seconds.
    uint256 public finalizationPeriodSeconds;
    /// @notice Block before the first that may be proposed.
    uint256 public startingBlockNumber;
    /// @notice L2 time of that block, in seconds.
    uint256 public startingTimestamp;
    address public proposer;
    address public challenger;

    Types.OutputProposal[] internal _outputs;

    event OutputProposed(
        bytes32 indexed outputRoot, uint256 indexed l2OutputIndex, uint256 indexed l2BlockNumber, uint256 l1Timestamp
    );
    event OutputsDeleted(uint256 indexed prevNextOutputIndex, uint256 indexed newNextOutputIndex);
    event ProposerSet(address indexed proposer);
    event ChallengerSet(address indexed challenger);

    /// @notice What a cluster starts with; see the getters of the same names. A `startingTimestamp` of zero stands for
    ///         the time of deployment.
    struct Parameters {
        uint256 submissionInterval;
        uint256 l2BlockTime;
        uint256 startingBlockNumber;
        uint256 startingTimestamp;
        uint256 finalizationPeriodSeconds;
        address proposer;
        address challenger;
    }

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner_, Parameters calldata p) external initializer {
        __Ownable_init(owner_);
        _checkBounds("submissionInterval", p.submissionInterval, 1, MAX_SUBMISSION_INTERVAL);
        _checkBounds("l2BlockTime", p.l2BlockTime, 1, 1 hours);
        _checkBounds("finalizationPeriodSeconds", p.finalizationPeriodSeconds, 1, MAX_FINALIZATION_PERIOD);
        _checkBounds("startingTimestamp", p.startingTimestamp, 0, block.timestamp);
        _checkBounds("startingBlockNumber", p.startingBlockNumber, 0, type(uint64).max);
        submissionInterval = p.submissionInterval;
        l2BlockTime = p.l2BlockTime;
        finalizationPeriodSeconds = p.finalizationPeriodSeconds;
        startingBlockNumber = p.startingBlockNumber;
        startingTimestamp = p.startingTimestamp == 0 ? block.timestamp : p.startingTimestamp;
        _setProposer(p.proposer);
        _setChallenger(p.challenger);
    }

    /// @notice Appends an output root.
    /// @param l2BlockNumber Block after which it holds; at least {nextBlockNumber}, later if the proposer was away.
    /// @param l1BlockHash   Zero, or the hash that `l1BlockNumber` must have, so that a proposal made of a chain that
    ///                      L1 dropped does not land.
    function proposeL2Output(bytes32 outputRoot, uint256 l2BlockNumber, bytes32 l1BlockHash, uint256 l1BlockNumber)
        external
        payable
    {
        if (msg.sender != proposer) revert NotProposer(msg.sender);
        if (outputRoot == bytes32(0)) revert ZeroOutputRoot();
        if (l2BlockNumber < nextBlockNumber()) revert BlockTooLow(l2BlockNumber, nextBlockNumber());
        if (l2BlockNumber > type(uint64).max) revert BlockTooHigh(l2BlockNumber);
        if (l1BlockHash != bytes32(0) && blockhash(l1BlockNumber) != l1BlockHash) {
            revert WrongL1Block(l1BlockNumber, l1BlockHash, blockhash(l1BlockNumber));
        }
        emit OutputProposed(outputRoot, _outputs.length, l2BlockNumber, block.timestamp);
        _outputs.push(
            Types.OutputProposal({
                outputRoot: outputRoot,
                timestamp: uint128(block.timestamp),
                l2BlockNumber: uint128(l2BlockNumber)
            })
        );
    }

    /// @notice Deletes the output at `index` and all after it. Not possible once that output is final.
    function deleteL2Outputs(uint256 index) external {
        if (msg.sender != challenger) revert NotChallenger(msg.sender);
        uint256 length = _outputs.length;
        if (index >= length) revert NoOutput(index, length);
        uint256 finalSince = _outputs[index].timestamp + finalizationPeriodSeconds;
        if (block.timestamp >= finalSince) revert OutputFinal(index, finalSince);
        // The length alone, so that the cost does not grow with the list; a later proposal overwrites what is behind it.
        assembly ("memory-safe") {
            sstore(_outputs.slot, index)
        }
        emit OutputsDeleted(length, index);
    }

    function setProposer(address proposer_) external onlyOwner {
        _setProposer(proposer_);
    }

    function setChallenger(address challenger_) external onlyOwner {
        _setChallenger(challenger_);
    }

    function getL2Output(uint256 index) external view returns (Types.OutputProposal memory) {
        if (index >= _outputs.length) revert NoOutput(index, _outputs.length);
        return _outputs[index];
    }

    /// @notice The first output at or after a block.
    function getL2OutputAfter(uint256 l2BlockNumber) external view returns (Types.OutputProposal memory) {
        return _outputs[getL2OutputIndexAfter(l2BlockNumber)];
    }

    function latestOutputIndex() external view returns (uint256) {
        if (_outputs.length == 0) revert NoOutput(0, 0);
        return _outputs.length - 1;
    }

    function nextOutputIndex() external view returns (uint256) {
        return _outputs.length;
    }

    function SUBMISSION_INTERVAL() external view returns (uint256) {
        return submissionInterval;
    }

    function L2_BLOCK_TIME() external view returns (uint256) {
        return l2BlockTime;
    }

    function FINALIZATION_PERIOD_SECONDS() external view returns (uint256) {
        return finalizationPeriodSeconds;
    }

    function PROPOSER() external view returns (address) {
        return proposer;
    }

    function CHALLENGER() external view returns (address) {
        return challenger;
    }

    /// @notice Index of the first output at or after a block.
    function getL2OutputIndexAfter(uint256 l2BlockNumber) public view returns (uint256) {
        // Tools tell «not yet proposed» from other failures by this very text.
        require(
            l2BlockNumber <= latestBlockNumber(),
            "L2OutputOracle: cannot get output for a block that has not been proposed"
        );
        require(
            _outputs.length > 0, "L2OutputOracle: cannot get output as no outputs have been proposed yet"
        );
        uint256 low = 0;
        uint256 high = _outputs.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_outputs[middle].l2BlockNumber < l2BlockNumber) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    /// @notice Block of the newest output.
    function latestBlockNumber() public view returns (uint256) {
        uint256 length = _outputs.length;
        return length == 0 ? startingBlockNumber : _outputs[length - 1].l2BlockNumber;
    }

    /// @notice Least block of the next proposal.
    function nextBlockNumber() public view returns (uint256) {
        return latestBlockNumber() + submissionInterval;
    }

    function _setProposer(address proposer_) private {
        if (proposer_ == address(0)) revert ZeroAddress();
        proposer = proposer_;
        emit ProposerSet(proposer_);
    }

    function _setChallenger(address challenger_) private {
        if (challenger_ == address(0)) revert ZeroAddress();
        challenger = challenger_;
        emit ChallengerSet(challenger_);
    }

    function _checkBounds(bytes32 what, uint256 given, uint256 least, uint256 most) private pure {
        if (given < least || given > most) revert OutOfBounds(what, given, least, most);
    }
}
