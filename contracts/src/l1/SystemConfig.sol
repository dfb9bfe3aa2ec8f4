// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";

import {Inbox} from "./Inbox.sol";

/// @title SystemConfig
/// @notice A cluster's parameters and the addresses of its contracts. Every change is an event that derivation reads, so
///         nodes learn of it from L1 in the order of L1. The owner (the timelock) appoints the operator; the operator
///         steers fees, gas limit and posters within the bounds fixed here.
contract SystemConfig is OwnableUpgradeable {
    /// @dev Only the operator or the owner may change parameters.
    error NotOperator(address caller);
    /// @dev A parameter is outside of its bounds.
    error OutOfBounds(bytes32 what, uint256 given, uint256 least, uint256 most);
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    /// @notice What a {ConfigUpdate} is about. The first four are numbered as in the OP Stack; Sheaf's own start at 16.
    uint8 public constant UPDATE_BATCHER = 0;
    uint8 public constant UPDATE_FEE_SCALARS = 1;
    uint8 public constant UPDATE_GAS_LIMIT = 2;
    uint8 public constant UPDATE_POSTER = 16;
    uint8 public constant UPDATE_SEQUENCER = 17;

    string public constant version = "2.3.0";
    /// @notice Version of the encoding in {ConfigUpdate}.
    uint256 public constant VERSION = 0;

    /// @notice Least gas limit of a block: all deposits of one L1 block and the L1-attributes transaction fit.
    uint64 public constant minimumGasLimit = 21_000_000;
    /// @notice Greatest gas limit of a block.
    uint64 public constant maximumGasLimit = 4_000_000_000;
    /// @notice Greatest fee scalar, in millionths: a hundred times the L1 price.
    uint32 public constant MAX_FEE_SCALAR = 100_000_000;

    /// @notice Addresses of a cluster's other contracts.
    struct Addresses {
        address optimismPortal;
        address l2OutputOracle;
        address inbox;
        address l1CrossDomainMessenger;
        address l1StandardBridge;
    }

    /// @notice What a cluster starts with; see the getters of the same names.
    struct Parameters {
        uint64 l2ChainId;
        uint64 gasLimit;
        uint32 basefeeScalar;
        uint32 blobbasefeeScalar;
        address operator;
        address sequencer;
        address[] posters;
    }

    /// @notice Gas limit of the cluster's blocks.
    uint64 public gasLimit;
    /// @notice Scalar of L1's base fee in the L1 data fee, in millionths.
    uint32 public basefeeScalar;
    /// @notice Scalar of L1's blob base fee in the L1 data fee, in millionths.
    uint32 public blobbasefeeScalar;
    /// @notice Chain id of the cluster.
    uint64 public l2ChainId;
    /// @notice L1 block at which the cluster was deployed: reading its events may start here.
    uint64 public startBlock;
    /// @notice Who posts the data, as every block of the cluster records it: the first poster's address unless set.
    bytes32 public batcherHash;
    /// @notice Steers the parameters.
    address public operator;
    /// @notice May advance the inbox's term without posting.
    address public sequencer;

    Addresses private _addresses;

    /// @notice `data` by type: BATCHER abi.encode(bytes32), FEE_SCALARS abi.encode(uint256 0, uint256 packed),
    ///         GAS_LIMIT abi.encode(uint64), POSTER abi.encode(address, bool), SEQUENCER abi.encode(address).
    event ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data);
    event OperatorSet(address indexed operator);

    modifier onlyOperator() {
        if (msg.sender != operator && msg.sender != owner()) revert NotOperator(msg.sender);
        _;
    }

    constructor() {
        _disableInitializers();
    }

    function initialize(address owner_, Addresses calldata addresses_, Parameters calldata p) external initializer {
        __Ownable_init(owner_);
        if (
            addresses_.optimismPortal == address(0) || addresses_.l2OutputOracle == address(0)
                || addresses_.inbox == address(0) || addresses_.l1CrossDomainMessenger == address(0)
                || addresses_.l1StandardBridge == address(0)
        ) revert ZeroAddress();
        if (p.l2ChainId == 0) revert OutOfBounds("l2ChainId", 0, 1, type(uint64).max);
        _addresses = addresses_;
        l2ChainId = p.l2ChainId;
        startBlock = uint64(block.number);
        _setOperator(p.operator);
        _setSequencer(p.sequencer);
        _setBatcherHash(p.posters.length == 0 ? bytes32(0) : bytes32(uint256(uint160(p.posters[0]))));
        _setFeeScalars(p.basefeeScalar, p.blobbasefeeScalar);
        _setGasLimit(p.gasLimit);
        // The inbox was given the same posters when it was initialized.
        for (uint256 i = 0; i < p.posters.length; ++i) {
            emit ConfigUpdate(VERSION, UPDATE_POSTER, abi.encode(p.posters[i], true));
        }
    }

    function setGasLimit(uint64 gasLimit_) external onlyOperator {
        _setGasLimit(gasLimit_);
    }

    /// @notice Sets the scalars of the L1 data fee, in millionths.
    function setFeeScalars(uint32 basefeeScalar_, uint32 blobbasefeeScalar_) external onlyOperator {
        _setFeeScalars(basefeeScalar_, blobbasefeeScalar_);
    }

    /// @notice The same under the OP Stack's name.
    function setGasConfigEcotone(uint32 basefeeScalar_, uint32 blobbasefeeScalar_) external onlyOperator {
        _setFeeScalars(basefeeScalar_, blobbasefeeScalar_);
    }

    function setBatcherHash(bytes32 batcherHash_) external onlyOperator {
        _setBatcherHash(batcherHash_);
    }

    /// @notice Allows or forbids an account to post segments.
    function setPoster(address poster, bool allowed) external onlyOperator {
        Inbox(_addresses.inbox).setPoster(poster, allowed);
        emit ConfigUpdate(VERSION, UPDATE_POSTER, abi.encode(poster, allowed));
    }

    function setSequencer(address sequencer_) external onlyOperator {
        _setSequencer(sequencer_);
    }

    function setOperator(address operator_) external onlyOwner {
        _setOperator(operator_);
    }

    function optimismPortal() external view returns (address) {
        return _addresses.optimismPortal;
    }

    function l2OutputOracle() external view returns (address) {
        return _addresses.l2OutputOracle;
    }

    function inbox() external view returns (address) {
        return _addresses.inbox;
    }

    /// @notice The inbox under the OP Stack's name.
    function batchInbox() external view returns (address) {
        return _addresses.inbox;
    }

    function l1CrossDomainMessenger() external view returns (address) {
        return _addresses.l1CrossDomainMessenger;
    }

    function l1StandardBridge() external view returns (address) {
        return _addresses.l1StandardBridge;
    }

    /// @notice Parameter of the fee before Ecotone; always zero.
    function overhead() external pure returns (uint256) {
        return 0;
    }

    /// @notice Both scalars as Ecotone packs them: version 1, then the blob scalar at bit 32 and the other at bit 0.
    function scalar() public view returns (uint256) {
        return (uint256(1) << 248) | (uint256(blobbasefeeScalar) << 32) | basefeeScalar;
    }

    function _setGasLimit(uint64 gasLimit_) private {
        _checkBounds("gasLimit", gasLimit_, minimumGasLimit, maximumGasLimit);
        gasLimit = gasLimit_;
        emit ConfigUpdate(VERSION, UPDATE_GAS_LIMIT, abi.encode(gasLimit_));
    }

    function _setFeeScalars(uint32 basefeeScalar_, uint32 blobbasefeeScalar_) private {
        _checkBounds("basefeeScalar", basefeeScalar_, 0, MAX_FEE_SCALAR);
        _checkBounds("blobbasefeeScalar", blobbasefeeScalar_, 0, MAX_FEE_SCALAR);
        basefeeScalar = basefeeScalar_;
        blobbasefeeScalar = blobbasefeeScalar_;
        emit ConfigUpdate(VERSION, UPDATE_FEE_SCALARS, abi.encode(uint256(0), scalar()));
    }

    function _setBatcherHash(bytes32 batcherHash_) private {
        batcherHash = batcherHash_;
        emit ConfigUpdate(VERSION, UPDATE_BATCHER, abi.encode(batcherHash_));
    }

    function _setSequencer(address sequencer_) private {
        if (sequencer_ == address(0)) revert ZeroAddress();
        sequencer = sequencer_;
        emit ConfigUpdate(VERSION, UPDATE_SEQUENCER, abi.encode(sequencer_));
    }

    function _setOperator(address operator_) private {
        if (operator_ == address(0)) revert ZeroAddress();
        operator = operator_;
        emit OperatorSet(operator_);
    }

    function _checkBounds(bytes32 what, uint256 given, uint256 least, uint256 most) private pure {
        if (given < least || given > most) revert OutOfBounds(what, given, least, most);
    }
}
